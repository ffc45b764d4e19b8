"""Parses a JWK set (RFC 7517) and keeps the public keys that may verify a token's signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import AllowedPublicKeys

MIN_RSA_BITS = 2048  # RFC 7518 §3.3; PyJWT only warns about shorter keys

# The algorithms that a key may verify, by type and curve (RFC 7518 §3.1, RFC 8037 §3.1). There is no symmetric type,
# on purpose: if a public key were accepted as an HMAC secret, everyone who reads it could sign tokens.
ALGORITHMS: Mapping[tuple[str, str], frozenset[str]] = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of the provider, and the algorithms that it may verify (RFC 8725 §3.1)."""

    kid: str
    public_key: AllowedPublicKeys
    algorithms: frozenset[str]


def parse_keys(document: Mapping[str, Any]) -> dict[str, SigningKey]:
    """Return the usable keys of a JWK set by ``kid``. Malformed keys and keys for other uses are left out."""
    entries = document.get("keys")
    if not isinstance(entries, list):
        return {}
    keys = (_parse_key(entry) for entry in entries if isinstance(entry, dict))
    return {key.kid: key for key in keys if key is not None}


def _parse_key(jwk: Mapping[str, Any]) -> SigningKey | None:
    kid, algorithms = jwk.get("kid"), _algorithms(jwk)
    # A provider that publishes no encryption keys may leave `use` out (OpenID Connect Discovery 1.0 §3). A key with `d`
    # is a private key: it has leaked, so its signatures prove nothing.
    if not isinstance(kid, str) or not algorithms or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    try:
        # Any algorithm of the key does, as only the key object is used; min() makes the choice repeatable.
        public_key = jwt.PyJWK(dict(jwk), algorithm=min(algorithms)).key
    except jwt.PyJWTError:
        return None
    if isinstance(public_key, RSAPublicKey) and public_key.key_size < MIN_RSA_BITS:
        return None
    return SigningKey(kid, public_key, algorithms)


def _algorithms(jwk: Mapping[str, Any]) -> frozenset[str]:
    fitting = ALGORITHMS.get((str(jwk.get("kty")), str(jwk.get("crv", ""))), frozenset())
    return fitting if "alg" not in jwk else fitting & {str(jwk["alg"])}
