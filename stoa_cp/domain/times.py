"""The rule for times that a client names: one that has passed already is refused."""

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import InvalidField


def check_not_past(field: str, moment: datetime | None) -> None:
    """Check a time that a client sends for ``field``; None is never, and allowed. Raises InvalidField if it has passed.

    The clock is this process's, not the database's: the time is compared with nothing stored, and the row's
    ``created_at``, which must be earlier by a constraint, comes from the same clock.
    """
    if moment and moment <= timezone.now():
        raise InvalidField(field, _("This time has passed already."))
