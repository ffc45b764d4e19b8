"""Turns an ``Authorization`` header into an actor; a token seen before costs a hash and a look-up."""

import time
from hashlib import sha256
from threading import Lock

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.jwks import signing_keys
from stoa_cp.identity.tokens import MAX_TOKEN_CHARS, TokenExpired, TokenInvalid, VerifiedToken, verify_access_token

__all__ = ["TokenExpired", "TokenInvalid", "TokenMissing", "authenticate_bearer"]

MAX_REMEMBERED_TOKENS = 10_000  # about 10 MB


class TokenMissing(DomainError):
    """The request names no bearer token."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_missing"
    message = _("An access token is required: Authorization: Bearer <token>.")


class RecentTokens:
    """Tokens verified in this process, by digest, until they expire or the provider drops their key."""

    def __init__(self) -> None:
        self._tokens: dict[bytes, VerifiedToken] = {}
        self._lock = Lock()

    def get(self, digest: bytes) -> Actor | None:
        token = self._tokens.get(digest)
        if token is None:
            return None
        if token.expires_at <= time.time() or signing_keys().get_cached(token.key.kid) is not token.key:
            with self._lock:
                self._tokens.pop(digest, None)
            return None
        return token.actor

    def put(self, digest: bytes, token: VerifiedToken) -> None:
        with self._lock:
            if len(self._tokens) >= MAX_REMEMBERED_TOKENS:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[digest] = token


_recent = RecentTokens()


def authenticate_bearer(header_value: str) -> Actor:
    """Return whom an ``Authorization`` header speaks for.

    Raises TokenMissing, TokenInvalid, TokenExpired or IdentityProviderUnavailable.
    """
    scheme, _blank, token = header_value.strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenMissing
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise TokenInvalid
    digest = sha256(token.encode()).digest()
    actor = _recent.get(digest)
    if actor is None:
        verified = verify_access_token(token)
        _recent.put(digest, verified)
        actor = verified.actor
    return actor


def actor_of(request: Request) -> Actor:
    """Return whom an authenticated request speaks for: a caller, or a gateway. Raises TokenMissing."""
    user: object = request.user  # typed by the stubs as Django's User, which it never is under /v1
    if not isinstance(user, Actor):
        raise TokenMissing
    return user
