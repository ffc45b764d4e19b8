"""Verifies the provider's JSON Web Tokens against our copy of its keys (RFC 7519, RFC 8725, RFC 9068)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.claims import is_addressed_to, roles_of, subject_of, tenants_of
from stoa_cp.identity.jwks import signing_keys
from stoa_cp.identity.signing_keys import SigningKey

MAX_TOKEN_CHARS = 8 * 1024
LEEWAY_SECONDS = 30
SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
# RFC 9068 §4, RFC 7519 §5.1; most providers say JWT for every kind of token, some say nothing.
HEADER_TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})


class TokenInvalid(DomainError):
    """The token is malformed, forged, of another issuer, for another service or no access token."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_invalid"
    message = _("The access token is not valid.")


class TokenExpired(DomainError):
    """The token was good, but its time is over."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_expired"
    message = _("The access token has expired.")


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Whom a token speaks for, until when (epoch seconds), and the key that signed it."""

    actor: Actor
    expires_at: int
    key: SigningKey


def verify_access_token(token: str) -> VerifiedToken:
    """Verify an access token that was issued for this service.

    Raises TokenInvalid, TokenExpired or IdentityProviderUnavailable.
    """
    claims, key = read_token(token)
    subject = subject_of(claims)
    if subject is None or not _is_access_token(claims) or not _is_for_us(claims):
        raise TokenInvalid
    actor = Actor(subject, roles_of(claims, settings.STOA_OIDC_AUDIENCE), tenants_of(claims))
    return VerifiedToken(actor, int(claims["exp"]), key)


def read_token(token: str) -> tuple[dict[str, Any], SigningKey]:
    """Return any token's claims: its shape, header, signature, issuer and times are checked, its purpose not.

    Raises TokenInvalid, TokenExpired or IdentityProviderUnavailable.
    """
    if len(token) > MAX_TOKEN_CHARS or not SHAPE.fullmatch(token):
        raise TokenInvalid
    try:
        key = _signing_key(jwt.get_unverified_header(token))
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            algorithms=sorted(key.algorithms.intersection(settings.STOA_OIDC_ALGORITHMS)),
            issuer=settings.STOA_OIDC_ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "exp", "iat"], "verify_aud": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenExpired from error
    except jwt.PyJWTError as error:
        raise TokenInvalid from error
    return claims, key


def _signing_key(header: Mapping[str, Any]) -> SigningKey:
    """Find the key that the header names, among ours alone: ``jku``, ``jwk``, ``x5u`` are never followed."""
    # Checked before the look-up: a token that can never be good must not make us ask the provider.
    if (
        str(header.get("typ", "")).lower() not in HEADER_TYPES
        or header.get("alg") not in settings.STOA_OIDC_ALGORITHMS
        or "kid" not in header
        or "crit" in header
    ):
        raise TokenInvalid
    key = signing_keys().get_or_fetch(header["kid"])
    if key is None:
        raise TokenInvalid
    return key


def _is_access_token(claims: Mapping[str, Any]) -> bool:
    """Tell it from the provider's other tokens, by Keycloak's claim ``typ`` or the hashes of an ID token.

    A DPoP-bound token is refused as well: passed as a bearer token it has lost its proof (RFC 9449 §7.1).
    """
    return claims.get("typ", "Bearer") == "Bearer" and not {"at_hash", "c_hash"} & claims.keys()


def _is_for_us(claims: Mapping[str, Any]) -> bool:
    # Keycloak's client_credentials tokens say `aud: account` unless a mapper adds the audience.
    if is_addressed_to(claims, settings.STOA_OIDC_AUDIENCE):
        return True
    return claims.get("azp") in settings.STOA_OIDC_ALLOWED_AZP
