"""Bounds how many threads of a web process one tenant's calls occupy.

Its calls per hour do not bound that: a tenant whose calls are slow would hold every thread, and all others would wait.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import DomainError, ErrorCode

# Most calls take some milliseconds, so that a burst of quick calls passes: it waits here instead of in the server's
# queue. Calls that are still there after this long are slow, and one more thread must not wait for them.
WAIT_SECONDS = 0.1


class TooManyAtOnce(DomainError):
    """As many calls of the tenant as may be are being answered by this process."""

    code = ErrorCode.RATE_LIMITED
    detail_code = "too_many_at_once"
    message = _("Too many calls of this tenant are being answered. Send fewer at a time.")
    retry_after_seconds = 1


class AtMost:
    """Admits up to ``count`` of each tenant at a time, and one at least."""

    def __init__(self, count: int) -> None:
        self._count = max(1, count)
        self._admitted: Counter[str] = Counter()
        self._ended = Condition()

    @contextmanager
    def one_of(self, tenant: str | None) -> Iterator[None]:
        """Admit the block, which may have to wait; at once without a tenant. Raises TooManyAtOnce."""
        if tenant is None:
            yield
            return
        with self._ended:
            if not self._ended.wait_for(lambda: self._admitted[tenant] < self._count, WAIT_SECONDS):
                raise TooManyAtOnce
            self._admitted[tenant] += 1
        try:
            yield
        finally:
            with self._ended:
                self._admitted[tenant] -= 1
                if not self._admitted[tenant]:
                    del self._admitted[tenant]
                self._ended.notify_all()  # it may be a call of another tenant that waits
