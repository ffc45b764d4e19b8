"""Keeps the console's sessions in ``OperatorSession``: Django's SESSION_ENGINE.

Django's own table has nothing to look a session up by but the cookie's value. This one has columns for the user and for
the provider's session, as Django's documentation describes it ("Extending database-backed session engines").
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY as USER_ID
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from stoa_cp.db.expiry import delete_expired
from stoa_cp.operators.models import OperatorSession

SIGNED_IN_AT = "signed_in_at"  # epoch seconds
SEEN_AT = "seen_at"  # epoch seconds: when the session was saved last
ADDRESS = "address"
USER_AGENT = "user_agent"
PROVIDER_SESSION = "oidc_sid"
DIGEST_CHARS = 40  # the length of Django's column: 160 bits
HOUR_SECONDS = 3600
# A login that is under way keeps its state and nonce in a session, and any caller can begin one. An hour is enough for
# a password and a second factor.
STRANGER_SECONDS = HOUR_SECONDS


class SessionStore(DatabaseSessionStore):
    """Django's store, with digests for keys, columns to look sessions up by, and an end that no use puts off.

    The synchronous half only: the console has no asynchronous view. Django's asynchronous methods would look for the
    cookie's value itself, and so find no session.
    """

    @classmethod
    def get_model_class(cls) -> type[OperatorSession]:
        return OperatorSession

    @classmethod
    def clear_expired(cls) -> None:
        """Delete the sessions that have ended, in batches: Django does it in one statement.

        Also those that an older release keeps, or has left, in Django's own table.
        """
        for model in (OperatorSession, Session):
            delete_expired(model._default_manager.filter(expire_date__lt=timezone.now()).order_by())  # noqa: SLF001 - Django documents it

    def load(self) -> dict[str, Any]:
        row = OperatorSession.objects.filter(
            session_key=digest_of(str(self.session_key)), expire_date__gt=timezone.now()
        ).first()
        if row is None:
            self._session_key = None  # as Django does: a key that is unknown must not be used for a new session
            return {}
        return self.decode(row.session_data)

    def exists(self, session_key: str) -> bool:
        return super().exists(digest_of(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(digest_of(key))

    def create_model_instance(self, data: dict[str, Any]) -> OperatorSession:
        """Return the row of this session. It is written whole each time, so each column is made of ``data``."""
        if USER_ID in data:
            # Whatever code signed the user in: no session may be without an end.
            data.setdefault(SIGNED_IN_AT, time.time())
        data[SEEN_AT] = time.time()
        row = super().create_model_instance(data)
        assert isinstance(row, OperatorSession)  # noqa: S101 - tells mypy what get_model_class returns
        row.session_key = digest_of(row.session_key)
        row.user_id = int(data[USER_ID]) if USER_ID in data else None
        row.provider_session = data.get(PROVIDER_SESSION, "")
        row.signed_in_at = _datetime_of(data)
        row.last_seen_at = timezone.now()
        row.address, row.user_agent = data.get(ADDRESS), data.get(USER_AGENT, "")
        return row

    def get_session_cookie_age(self) -> int:
        """Return for how many seconds the session lasts if it is not used: the idle time, or less near its end."""
        idle_seconds = settings.STOA_SESSION_IDLE_HOURS * HOUR_SECONDS
        signed_in_at = self.get(SIGNED_IN_AT)
        if signed_in_at is None:
            return STRANGER_SECONDS
        left = signed_in_at + settings.STOA_SESSION_MAX_HOURS * HOUR_SECONDS - time.time()
        return int(min(idle_seconds, left))


def digest_of(session_key: str) -> str:
    """Return what the table holds in the place of a cookie's value.

    A plain hash, without a pepper: a key of 32 random characters cannot be guessed.
    """
    return sha256(session_key.encode()).hexdigest()[:DIGEST_CHARS]


def _datetime_of(data: Mapping[str, Any]) -> datetime | None:
    seconds = data.get(SIGNED_IN_AT)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
