"""Bounds how many calls of one tenant a web process answers at a time.

Its calls per hour do not bound that: a tenant whose calls are slow would hold every thread, and all others would wait.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from django.conf import settings
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


class CallsAtOnce:
    """The calls that a process is answering, by tenant: half of its threads at most for each of them."""

    def __init__(self) -> None:
        self._at_most = max(1, settings.STOA_WEB_THREADS // 2)
        self._running: Counter[str] = Counter()
        self._ended = Condition()

    @contextmanager
    def one_of(self, tenant: str) -> Iterator[None]:
        """Count a call of the tenant while the block runs. Raises TooManyAtOnce."""
        with self._ended:
            if not self._ended.wait_for(lambda: self._running[tenant] < self._at_most, WAIT_SECONDS):
                raise TooManyAtOnce
            self._running[tenant] += 1
        try:
            yield
        finally:
            with self._ended:
                self._running[tenant] -= 1
                if not self._running[tenant]:
                    del self._running[tenant]
                self._ended.notify_all()  # it may be a call of another tenant that waits
