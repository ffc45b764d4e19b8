"""Verifies the provider's JSON Web Tokens with its signing keys (RFC 7519, RFC 8725, RFC 9068)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.claims import (
    is_addressed_to,
    is_service_account,
    name_of,
    roles_of,
    subject_of,
    tenants_of,
)
from stoa_cp.identity.jwks import signing_keys
from stoa_cp.identity.signing_keys import SigningKey

# Bounds the work on a token before its signature is checked. Also nginx's default for one header line.
MAX_TOKEN_CHARS = 8 * 1024
# By how much the clocks of the provider and of this machine may differ (RFC 7519 §4.1.4: "no more than a few minutes").
LEEWAY_SECONDS = 30
# Three parts in base64url, as in RFC 7515 §7.1. PyJWT would also accept padding and other characters.
SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
# RFC 9068 §4 wants at+jwt. But most providers write JWT into every kind of token (RFC 7519 §5.1), and some write
# nothing; _is_access_token tells the kinds apart.
HEADER_TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
# Claims of tokens that are no access tokens: the hashes in an ID token (OpenID Connect Core 1.0 §3.1.3.6, §3.3.2.11),
# and the events of a security event token, such as a logout token (RFC 8417 §2.2).
FOREIGN_CLAIMS = frozenset({"at_hash", "c_hash", "s_hash", "events"})
# OpenID Connect Back-Channel Logout 1.0 §2.4 recommends logout+jwt.
LOGOUT_HEADER_TYPES = frozenset({"", "jwt", "logout+jwt", "application/logout+jwt"})


class TokenInvalid(DomainError):
    """The token is malformed, forged, of another issuer, for another service, or not an access token.

    One error for all of these: an attacker does not learn which check failed.
    """

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_invalid"
    message = _("The access token is not valid.")


class TokenBound(TokenInvalid):
    """The token is genuine, and only together with a proof that this service does not check.

    As a bearer token it would serve a thief as well (RFC 8705 §3, RFC 9449 §7.1). A sentence of its own, because the
    claim ``cnf`` is no secret to the holder of a genuine token.
    """

    message = _(
        "This token is bound to a certificate or a key. Use a plain bearer token: those are the only ones taken."
    )


class AuthenticationTooWeak(DomainError):
    """The person has logged in with less than STOA_OIDC_REQUIRED_ACR demands (RFC 9470 §3)."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "insufficient_user_authentication"
    message = _("A stronger login is required, such as one with a second factor.")


class TokenExpired(DomainError):
    """The token was valid until its ``exp``. A code of its own, so that clients get a new token and try again."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "token_expired"
    message = _("The access token has expired.")


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token's actor, its expiry (epoch seconds), and the key that verified it."""

    actor: Actor
    expires_at: int
    key: SigningKey


def verify_access_token(token: str) -> VerifiedToken:
    """Verify an access token that was issued for this service.

    Raises TokenInvalid, TokenBound, AuthenticationTooWeak, TokenExpired or IdentityProviderUnavailable.
    """
    claims, key = read_token(token)
    subject = subject_of(claims)
    if subject is None or not _is_access_token(claims) or not _is_for_us(claims):
        raise TokenInvalid
    if "cnf" in claims:
        raise TokenBound
    if settings.STOA_OIDC_REQUIRED_ACR and not _is_strong_enough(claims):
        raise AuthenticationTooWeak
    roles = roles_of(claims, settings.STOA_OIDC_AUDIENCE)
    actor = Actor(subject, roles, tenants_of(claims), name=name_of(claims))
    return VerifiedToken(actor, int(claims["exp"]), key)


def read_token(token: str, *, header_types: frozenset[str] = HEADER_TYPES) -> tuple[dict[str, Any], SigningKey]:
    """Return the claims of a token. Checks shape, header, signature, issuer and times, not the purpose.

    Raises TokenInvalid, TokenExpired or IdentityProviderUnavailable.
    """
    if len(token) > MAX_TOKEN_CHARS or not SHAPE.fullmatch(token):
        raise TokenInvalid
    try:
        key = _signing_key(jwt.get_unverified_header(token), header_types)
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            # Both the key and the settings must allow the algorithm: the header's `alg` alone is the attacker's choice.
            algorithms=sorted(key.algorithms.intersection(settings.STOA_OIDC_ALGORITHMS)),
            issuer=settings.STOA_OIDC_ISSUER,
            leeway=LEEWAY_SECONDS,
            # A token without `exp` would be valid for ever. The audience depends on the purpose: see _is_for_us.
            options={"require": ["iss", "exp", "iat"], "verify_aud": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenExpired from error
    except jwt.PyJWTError as error:
        raise TokenInvalid from error
    return claims, key


def _signing_key(header: Mapping[str, Any], header_types: frozenset[str]) -> SigningKey:
    """Return the provider's key that the header names by ``kid``.

    ``jku``, ``jwk`` and ``x5u`` are ignored: they let the token bring its own key (RFC 8725 §3.10).
    Raises TokenInvalid or IdentityProviderUnavailable.
    """
    # Before the look-up of the key: a token that can never be valid must not cause a fetch from the provider.
    if (
        str(header.get("typ", "")).lower() not in header_types
        or header.get("alg") not in settings.STOA_OIDC_ALGORITHMS
        or "kid" not in header
        or "crit" in header  # an extension that must be understood (RFC 7515 §4.1.11); we understand none
    ):
        raise TokenInvalid
    key = signing_keys().get_or_fetch(header["kid"])
    if key is None:
        raise TokenInvalid
    return key


def _is_access_token(claims: Mapping[str, Any]) -> bool:
    """Tell an access token from the provider's other tokens, which the same keys sign.

    Keycloak writes the kind into the claim ``typ``: ``Bearer``, ``ID``, ``Refresh``, ``Logout``. The tokens of other
    providers are known by their claims. An ID token need not have a hash, but has the nonce of its login; Keycloak's
    older access tokens have one, too, and say ``Bearer``. A DPoP-bound token (``typ`` ``DPoP``) is refused as well.
    """
    if FOREIGN_CLAIMS & claims.keys():
        return False
    return claims["typ"] == "Bearer" if "typ" in claims else "nonce" not in claims


def _is_strong_enough(claims: Mapping[str, Any]) -> bool:
    # `acr` says how a person has logged in (RFC 9068 §2.2.1). A service account has not.
    return claims.get("acr") in settings.STOA_OIDC_REQUIRED_ACR or is_service_account(claims)


def _is_for_us(claims: Mapping[str, Any]) -> bool:
    # Keycloak's client_credentials tokens have `aud: account` unless the realm has an audience mapper. For realms that
    # cannot be changed, STOA_OIDC_ALLOWED_AZP names clients whose tokens are accepted without our audience.
    if is_addressed_to(claims, settings.STOA_OIDC_AUDIENCE):
        return True
    return claims.get("azp") in settings.STOA_OIDC_ALLOWED_AZP
