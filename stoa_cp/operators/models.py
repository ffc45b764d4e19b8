"""The sessions of the console, as rows that can be listed and ended."""

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

MAX_USER_AGENT_CHARS = 200  # enough to tell browsers apart; the header itself has no limit of its own


class OperatorSession(AbstractBaseSession):
    """A session of the console. To delete the row is to end the session.

    ``session_key`` is a digest: the cookie's value is not in the database, so neither a copy of the table nor the
    address of a page lets its reader in. All other columns repeat what ``session_data`` holds: see ``SessionStore``.
    """

    # Without a constraint, and with nothing done on deletion: Django's admin refuses to delete a user whose related
    # rows it may not delete. A session without its user signs no one in.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
    # The provider's id of its own session (``sid``, OpenID Connect Front-Channel Logout 1.0 §3). Empty for passwords.
    provider_session = models.CharField(max_length=255, blank=True, db_index=True)
    signed_in_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField()  # to the minute: see session_check.SECONDS_BETWEEN_NOTES
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=MAX_USER_AGENT_CHARS, blank=True)

    class Meta:
        ordering = ["-last_seen_at"]

    def __str__(self) -> str:
        return f"{self.user} {self.signed_in_at:%Y-%m-%d %H:%M}" if self.signed_in_at else "-"

    @classmethod
    def get_session_store_class(cls) -> type[DatabaseSessionStore]:
        # Here, because the store imports this module.
        from stoa_cp.operators.session_store import SessionStore

        return SessionStore
