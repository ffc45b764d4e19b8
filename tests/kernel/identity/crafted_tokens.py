"""Tokens made to deceive, each as a function of the provider whose tokens they imitate."""

import json
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stoa_cp.identity.tokens import LEEWAY_SECONDS, MAX_TOKEN_CHARS
from tests.kernel.identity.provider import Provider, base64url, ec_key, rsa_jwk, rsa_key, sign

Craft = Callable[[Provider], str]


def claiming(**changes: object) -> Craft:
    """A genuine signature under wrong claims."""
    return lambda provider: provider.token(**changes)


def heading(**header: object) -> Craft:
    """A genuine signature over a wrong header."""
    return lambda provider: sign(provider.claims(), rsa_key("first"), **({"kid": "first"} | header))


def forging(**header: object) -> Craft:
    """The attacker's signature."""
    return lambda provider: sign(provider.claims(), rsa_key("attacker"), **({"kid": "first"} | header))


def unsigned(algorithm: str) -> Craft:
    return lambda provider: f"{base64url({'alg': algorithm, 'kid': 'first'})}.{base64url(provider.claims())}."


def with_public_key_as_secret(provider: Provider) -> str:
    public = rsa_key("first").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return sign(provider.claims(), public, alg="HS256", kid="first")


def with_public_jwk_as_secret(provider: Provider) -> str:
    return sign(provider.claims(), json.dumps(rsa_jwk("first")).encode(), alg="HS256", kid="first")


def with_swapped_payload(provider: Provider) -> str:
    head, _payload, signature = provider.token().split(".")
    return f"{head}.{base64url(provider.claims(realm_access={'roles': ['cpi-admin']}))}.{signature}"


def without_signature(provider: Provider) -> str:
    return provider.token().rsplit(".", 1)[0] + "."


def with_deep_header(provider: Provider) -> str:
    return f"{base64url(b'[' * 3_000)}.{base64url(provider.claims())}.AAAA"


def with_long_number_in_header(provider: Provider) -> str:
    header = b'{"alg":' + b"1" * 5_000 + b"}"
    return f"{base64url(header)}.{base64url(provider.claims())}.AAAA"


NOW = int(time.time())
CRAFTED: dict[str, Craft] = {
    "no algorithm": unsigned("none"),
    "no algorithm, spelt otherwise": unsigned("nOnE"),
    "the public key as a shared secret": with_public_key_as_secret,
    "the public JWK as a shared secret": with_public_jwk_as_secret,
    "an algorithm that is not allowed": heading(alg="RS512"),
    "an algorithm that is not the key's": heading(alg="PS256"),
    "another key's curve": lambda provider: sign(provider.claims(), ec_key("curve"), alg="ES256", kid="first"),
    "a list for an algorithm": lambda _: f"{base64url({'alg': ['RS256'], 'kid': 'first'})}.e30.AAAA",
    "a forged signature": forging(),
    "no signature": without_signature,
    "a swapped payload": with_swapped_payload,
    "a key published for encryption": lambda provider: sign(provider.claims(), rsa_key("enc"), kid="enc"),
    "no key id": heading(kid=None),
    "a number for a key id": heading(kid=1),
    "a NUL in the key id": forging(kid="first\x00"),
    "a path for a key id": forging(kid="../../../../dev/null"),
    "SQL for a key id": forging(kid="first' OR '1'='1"),
    "a surrogate in the key id": forging(kid="\ud800"),
    "the attacker's key in the header": forging(jwk=rsa_jwk("attacker")),
    "a critical extension": heading(crit=["exp"]),
    "a critical extension that the library knows": heading(crit=["b64"], b64=True),
    "an unencoded payload": heading(crit=["b64"], b64=False),
    "an unencoded payload, not marked as critical": heading(b64=False),
    "a DPoP proof's header": heading(typ="dpop+jwt"),
    "a logout token's header": heading(typ="logout+jwt"),
    "a number for a type": heading(typ=1),
    "another issuer": claiming(iss="https://evil.example/realms/stoa"),
    "the issuer with a slash more": lambda provider: provider.token(iss=provider.url + "/"),
    "a list of issuers": lambda provider: provider.token(iss=[provider.url]),
    "no issuer": claiming(iss=None),
    "another audience": claiming(aud="account"),
    "an audience that begins alike": claiming(aud=["control-plane-api-admin"]),
    "no audience": claiming(aud=None),
    "an object for an audience": claiming(aud={"control-plane-api": True}),
    "an unknown client": claiming(aud="account", azp="somebody"),
    "a list of clients": claiming(aud="account", azp=["ci-robot"]),
    "an ID token": claiming(typ="ID"),
    "an ID token by its hash": claiming(typ=None, at_hash="x"),
    "a refresh token": claiming(typ="Refresh"),
    "an offline token": claiming(typ="Offline"),
    "a logout token": claiming(typ="Logout"),
    "a DPoP-bound token": claiming(typ="DPoP"),
    "bound to a certificate": claiming(cnf={"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
    "bound to a key by its thumbprint": claiming(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    "bound to nothing that is named": claiming(cnf={}),
    "an ID token by its nonce": claiming(typ=None, nonce="n-0S6_WzA2Mj"),
    "a logout token by its events": claiming(
        typ=None, events={"http://schemas.openid.net/event/backchannel-logout": {}}
    ),
    "a security event": claiming(events={}),
    "expired": claiming(exp=NOW - LEEWAY_SECONDS - 1),
    "no expiry": claiming(exp=None),
    "a word for an expiry": claiming(exp="never"),
    "not a number for an expiry": claiming(exp=float("nan")),
    "no time of issue": claiming(iat=None),
    "issued in the future": claiming(iat=NOW + 3_600),
    "not valid yet": claiming(nbf=NOW + 3_600),
    "nobody": claiming(sub=None, azp=None),
    "an empty subject": claiming(sub=""),
    "a number for a subject": claiming(sub=7),
    "a NUL in the subject": claiming(sub="alice\x00"),
    "a subject too long for the audit trail": claiming(sub="a" * 256),
    "the system itself": claiming(sub="stoa:system"),
    "the system as older releases name it": claiming(sub="system"),
    "an operator of the admin": claiming(sub="stoa:operator:olga"),
    "an operator in capitals": claiming(sub="Operator:olga"),
    "a client called like the system": claiming(sub=None, azp="stoa:system"),
    "a gateway": claiming(sub="gtw-0123456789abcdef", realm_access={"roles": ["stoa-gateway"]}),
    "a surrogate in the subject": claiming(sub="\ud800"),
    "a subject that looks like another": claiming(sub="\u0430lice"),
    "a subject with a blank after it": claiming(sub="alice "),
    "a list for claims": lambda _: sign([1, 2], rsa_key("first"), kid="first"),
    "a deep header": with_deep_header,
    "a number of 5,000 digits in the header": with_long_number_in_header,
    "longer than 8 KiB": claiming(padding="x" * MAX_TOKEN_CHARS),
    "a megabyte": lambda _: "e" * 1_000_000,
    "two parts": lambda _: "e30.e30",
    "five parts": lambda _: "e30.e30.e30.e30.e30",
    "two tokens": lambda provider: f"{provider.token()} {provider.token()}",
    "letters beyond ASCII": lambda provider: provider.token() + "é",
    "a surrogate": lambda provider: provider.token() + "\ud800",
}
