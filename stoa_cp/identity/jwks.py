"""The identity provider's signing keys, cached in memory and refreshed in a background thread.

PyJWT's own client is not used: with an expired cache and a provider that does not answer, it serves the requests one
after the other, each at its full time-out. Here a known key is returned at once, and only an unknown key waits.
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
from stoa_cp.identity.provider import ProviderFailure, deadline_in, discover, endpoint, fetch_json
from stoa_cp.identity.signing_keys import SigningKey, parse_keys

logger = structlog.get_logger(__name__)

# An older set is fetched again in the background. While calls come in, a key that the provider withdraws is refused
# after about this time.
FRESH_SECONDS = 5 * 60
# How long known keys are trusted while the provider is away. An outage of a day must not refuse every caller; after
# that, a key that the provider may have withdrawn long ago must not open anything.
USABLE_SECONDS = 24 * 3600
# Tokens with invented key ids cost the provider one fetch in this time, however many there are. It is also the longest
# time that a new key of the provider is unknown here.
SECONDS_BETWEEN_FETCHES = 10
# For discovery and keys together. A request may wait for it, so it stays far below the time-outs of clients.
FETCH_SECONDS = 2.0
# An unchanged set is stored again only for its date: a restart trusts the stored copy for USABLE_SECONDS after it.
# One write an hour costs nothing, and makes that day at most an hour shorter.
SECONDS_BETWEEN_STORES = 3600


class IdentityProviderUnavailable(DomainError):
    """The token's key is unknown, and the provider does not answer: the token may be valid or not.

    An error of ours (503) and not a 401, which would make clients drop tokens that are valid.
    """

    code = ErrorCode.INTERNAL_ERROR
    detail_code = "unavailable"
    message = _("The identity provider does not answer. Try again in a moment.")


@dataclass(frozen=True, slots=True)
class KeySet:
    """The document that the provider served at ``fetched_at`` (epoch seconds), and its usable keys by ``kid``."""

    document: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, SigningKey] = field(default_factory=dict)
    fetched_at: float = float("-inf")


class KeyStore:
    """The keys of one issuer in this process.

    The current set is immutable and replaced as a whole: readers take no lock and never wait for a writer.
    """

    def __init__(self, issuer: str, jwks_url: str = "") -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._set = self._stored = KeySet()
        self._is_loaded = False
        self._is_provider_away = False
        self._next_fetch_at = float("-inf")  # monotonic clock
        self._fetching: Thread | None = None
        self._lock = Lock()

    @property
    def is_fetching(self) -> bool:
        """Whether a fetch is under way."""
        return self._fetching is not None and self._fetching.is_alive()

    def get_cached(self, kid: str) -> SigningKey | None:
        """Return the key if the current set holds it and is at most 24 hours old. Changes nothing."""
        current = self._set
        return current.keys.get(kid) if time.time() - current.fetched_at <= USABLE_SECONDS else None

    def get_or_fetch(self, kid: str) -> SigningKey | None:
        """Return the key, or None if the provider has no such key.

        1. Load the stored set, if this is the process's first call.
        2. Refresh an old set in the background; a known key does not wait for that.
        3. Wait up to 2 s for a fetch if the key is unknown.
        4. Store what was fetched.

        Raises IdentityProviderUnavailable if the key is unknown and the provider does not answer.
        """
        if not self._is_loaded:
            self._load()
        self.refresh_if_due()
        key = self.get_cached(kid)
        if key is None:
            self._wait_for_fetch()
            key = self.get_cached(kid)
        self.store_if_changed()
        if key is None and (self._is_provider_away or self.is_fetching):
            raise IdentityProviderUnavailable
        return key

    def refresh_if_due(self) -> None:
        """Start a fetch in the background if the current set is older than 5 minutes."""
        if time.time() - self._set.fetched_at > FRESH_SECONDS:
            self._start_fetch()

    def store_if_changed(self) -> None:
        """Write the current set to PostgreSQL if it holds other keys than the stored one, or is an hour newer.

        Call it in a thread that serves a request, which has a database connection. The thread that fetches would
        need, and keep open, one more.
        """
        if not self._is_store_due():
            return
        with self._lock:
            # Once more: while this thread waited for the lock, another may have stored this set or a newer one.
            if not self._is_store_due():
                return
            current = self._stored = self._set
        self._write(current)

    def _wait_for_fetch(self) -> None:
        # If the last fetch failed, no request waits for the next one: tokens with invented key ids could otherwise
        # hold every thread of the server for 2 s in 10.
        was_away = self._is_provider_away
        fetching = self._start_fetch()
        if fetching is not None and not was_away:
            fetching.join(FETCH_SECONDS)

    def _start_fetch(self) -> Thread | None:
        """Return the fetch under way, or a new one; None if the last one started less than 10 s ago."""
        # The lock makes it one fetch for many requests at once: 16 first callers of a process share one.
        with self._lock:
            if self.is_fetching:
                return self._fetching
            if time.monotonic() < self._next_fetch_at:
                return None
            self._next_fetch_at = time.monotonic() + SECONDS_BETWEEN_FETCHES
            self._fetching = Thread(target=self._fetch, name="jwks", daemon=True)
            self._fetching.start()
            return self._fetching

    def _fetch(self) -> None:
        try:
            fetched = self._download()
        except ProviderFailure as failure:
            self._is_provider_away = True
            logger.warning("signing_keys_not_refreshed", error=str(failure))
        else:
            self._is_provider_away = False
            with self._lock:  # _load must not put an older set in its place
                self._set = fetched

    def _download(self) -> KeySet:
        until = deadline_in(FETCH_SECONDS)
        url = self._jwks_url or endpoint(discover(self._issuer, until=until), "jwks_uri")
        document = fetch_json(url, until=until)
        # The same document keeps the same key objects: RecentTokens compares them by identity, so an unchanged set
        # lets the tokens that were verified with it stay cached.
        keys = self._set.keys if document == self._set.document else parse_keys(document)
        if not keys:  # a fault of the provider, most likely: the last good set stays in use
            raise ProviderFailure(f"{url} holds no usable signing key")
        return KeySet(document, keys, time.time())

    def _load(self) -> None:
        """Start with the set that PostgreSQL keeps: a process that starts while the provider is away needs it."""
        row = SigningKeySet.objects.filter(issuer=self._issuer).first()
        with self._lock:
            # Another thread may have fetched a newer set in the meantime.
            if row is not None and row.fetched_at.timestamp() > self._set.fetched_at:
                keys = parse_keys(row.document)
                self._set = self._stored = KeySet(row.document, keys, row.fetched_at.timestamp())
        self._is_loaded = True

    def _is_store_due(self) -> bool:
        current, stored = self._set, self._stored
        return current.keys is not stored.keys or current.fetched_at - stored.fetched_at > SECONDS_BETWEEN_STORES

    def _write(self, current: KeySet) -> None:
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
        except DatabaseError:  # only the next restart needs the stored copy; this request has its key
            logger.warning("signing_keys_not_stored", exc_info=True)


_stores: dict[tuple[str, str], KeyStore] = {}


def signing_keys() -> KeyStore:
    """Return this process's key store for the issuer in the settings."""
    source = (settings.STOA_OIDC_ISSUER, settings.STOA_OIDC_JWKS_URL)
    # setdefault is atomic: two first callers get the same store, and so make one fetch.
    return _stores.get(source) or _stores.setdefault(source, KeyStore(*source))


def forget_signing_keys() -> None:
    """Drop the key stores of this process, as a restart does."""
    _stores.clear()
