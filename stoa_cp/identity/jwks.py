"""The identity provider's signing keys: answered from memory, refreshed behind the callers' backs.

A known key is answered at once; if the set is older than 5 min, it is fetched anew meanwhile. An unknown key
waits for one fetch (at most 2 s, and at most one fetch in 10 s). A process that starts while the provider is
away goes on with the last good set, which PostgreSQL keeps.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock, Thread
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.models import SigningKeySet
from stoa_cp.identity.provider import ProviderFailure, discover, endpoint, fetch_json
from stoa_cp.identity.signing_keys import SigningKey, parse_keys

logger = structlog.get_logger(__name__)

FRESH_SECONDS = 5 * 60
USABLE_SECONDS = 24 * 3600
SECONDS_BETWEEN_FETCHES = 10
FETCH_SECONDS = 2.0
SECONDS_BETWEEN_STORES = 3600  # the stored copy may be that much older than memory's


class IdentityProviderUnavailable(DomainError):
    """Nobody can tell whether the token is good: its key is unknown, and the provider does not answer."""

    code = ErrorCode.INTERNAL_ERROR
    detail_code = "unavailable"
    message = _("The identity provider does not answer. Try again in a moment.")


@dataclass(frozen=True, slots=True)
class KeySet:
    """What the provider served at ``fetched_at`` (epoch seconds), and the keys that we found usable in it."""

    document: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, SigningKey] = field(default_factory=dict)
    fetched_at: float = float("-inf")


class KeyStore:
    """One issuer's keys in this process. Readers see one immutable set or the next and wait for no writer."""

    def __init__(self, issuer: str, jwks_url: str = "") -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._set = self._stored = KeySet()
        self._is_loaded = False
        self._is_provider_away = False
        self._next_fetch_at = float("-inf")  # monotonic clock
        self._fetching: Thread | None = None
        self._lock = Lock()

    def get_cached(self, kid: str) -> SigningKey | None:
        """Return the key if memory holds it; never waits for the provider."""
        current = self._set
        age_seconds = time.time() - current.fetched_at
        if age_seconds > FRESH_SECONDS:
            self._start_fetch()
        is_changed = current.keys is not self._stored.keys
        if is_changed or current.fetched_at - self._stored.fetched_at > SECONDS_BETWEEN_STORES:
            self._store(current)
        return current.keys.get(kid) if age_seconds <= USABLE_SECONDS else None

    def get(self, kid: str) -> SigningKey | None:
        """Return the key, asking the provider if need be; None if the provider has no such key.

        Raises IdentityProviderUnavailable if that cannot be told now.
        """
        if not self._is_loaded:
            self._load()
        key = self.get_cached(kid)
        if key is None:
            self._wait_for_fetch()
            key = self.get_cached(kid)
        if key is None and (self._is_provider_away or self._is_fetching()):
            raise IdentityProviderUnavailable
        return key

    def _wait_for_fetch(self) -> None:
        # While the provider is away nobody waits: a stranger's tokens could hold every thread for 2 s in 10.
        was_away = self._is_provider_away
        fetching = self._start_fetch()
        if fetching is not None and not was_away:
            fetching.join(FETCH_SECONDS)

    def _start_fetch(self) -> Thread | None:
        """Return the fetch under way, or a new one; None if the last one started less than 10 s ago."""
        with self._lock:
            if self._is_fetching():
                return self._fetching
            if time.monotonic() < self._next_fetch_at:
                return None
            self._next_fetch_at = time.monotonic() + SECONDS_BETWEEN_FETCHES
            self._fetching = Thread(target=self._fetch, name="jwks", daemon=True)
            self._fetching.start()
            return self._fetching

    def _is_fetching(self) -> bool:
        return self._fetching is not None and self._fetching.is_alive()

    def _fetch(self) -> None:
        try:
            self._set = self._download()
        except ProviderFailure as failure:
            self._is_provider_away = True
            logger.warning("signing_keys_not_refreshed", error=str(failure))
        else:
            self._is_provider_away = False

    def _download(self) -> KeySet:
        until = time.monotonic() + FETCH_SECONDS
        url = self._jwks_url or endpoint(discover(self._issuer, until=until), "jwks_uri")
        document = fetch_json(url, until=until)
        # The same document keeps the same key objects, and with them the tokens verified under them.
        keys = self._set.keys if document == self._set.document else parse_keys(document)
        if not keys:
            raise ProviderFailure(f"{url} holds no usable signing key")
        return KeySet(document, keys, time.time())

    def _load(self) -> None:
        row = SigningKeySet.objects.filter(issuer=self._issuer).first()
        # Another thread may have fetched a newer set in the meantime.
        if row is not None and row.fetched_at.timestamp() > self._set.fetched_at:
            keys = parse_keys(row.document)
            self._set = self._stored = KeySet(row.document, keys, row.fetched_at.timestamp())
        self._is_loaded = True

    def _store(self, current: KeySet) -> None:
        # In the caller's thread, which has its database connection: the fetching one would need another.
        with self._lock:
            if current.fetched_at <= self._stored.fetched_at:
                return  # another thread has stored a newer one since the caller looked
            self._stored = current
        row = SigningKeySet(
            issuer=self._issuer,
            document=current.document,
            fetched_at=datetime.fromtimestamp(current.fetched_at, UTC),
        )
        try:
            SigningKeySet.objects.bulk_create(
                [row],
                update_conflicts=True,
                unique_fields=["issuer"],
                update_fields=["document", "fetched_at"],
            )
        except DatabaseError:  # the copy serves the next restart; this request is served from memory
            logger.warning("signing_keys_not_stored", exc_info=True)


_stores: dict[tuple[str, str], KeyStore] = {}


def signing_keys() -> KeyStore:
    """Return this process's key store of the issuer in the settings."""
    place = (settings.STOA_OIDC_ISSUER, settings.STOA_OIDC_JWKS_URL)
    return _stores.get(place) or _stores.setdefault(place, KeyStore(*place))
