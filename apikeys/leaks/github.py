"""Alerts of GitHub's secret scanning partner programme: their signature, their JSON, and the answer.

GitHub finds strings of our keys' form in public repositories and packages, and reports them in batches. The answer
tells which of them are real, so that GitHub can improve its patterns.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from django.utils.translation import gettext_lazy as _

from apikeys.services.leaks import Leak
from stoa_cp.domain.errors import DomainError, ErrorCode, InvalidField
from stoa_cp.rest.parsers import parse_json

IDENTIFIER, SIGNATURE = "Github-Public-Key-Identifier", "Github-Public-Key-Signature"
# Each real key among them costs a transaction. GitHub's batches have a few entries.
MAX_LEAKS = 1_000
MAX_URL_CHARS = 2_048  # of what becomes part of an event


class SignatureInvalid(DomainError):
    """The alert was not signed with one of the keys in STOA_LEAK_KEYS."""

    code = ErrorCode.UNAUTHORIZED
    detail_code = "signature_invalid"
    message = _("The signature is not valid.")


def parse_public_keys(entries: tuple[str, ...]) -> Mapping[str, EllipticCurvePublicKey]:
    """Return GitHub's public keys by their identifiers, from ``identifier=base64`` of a DER SubjectPublicKeyInfo.

    Raises ValueError for an entry that is not a key on P-256.
    """
    keys = {}
    for entry in entries:
        identifier, _separator, encoded = entry.partition("=")
        key = load_der_public_key(base64.b64decode(encoded, validate=True))
        if not identifier or not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise ValueError(f"{identifier or entry} is not the public key of a P-256 pair")
        keys[identifier] = key
    return keys


_cached_public_keys = lru_cache(maxsize=1)(parse_public_keys)


def check_signature(headers: Mapping[str, str], body: bytes, known: list[str]) -> None:
    """Verify the signature of an alert: ECDSA on P-256 with SHA-256 over the raw body. Raises SignatureInvalid."""
    key = _cached_public_keys(tuple(known)).get(headers.get(IDENTIFIER, ""))
    if key is None:
        raise SignatureInvalid
    try:
        key.verify(base64.b64decode(headers.get(SIGNATURE, ""), validate=True), body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError) as error:  # ValueError: not base64, or not ASCII
        raise SignatureInvalid from error


def read_alert(body: bytes) -> list[Leak]:
    """Return the entries of an alert: an array of ``{"token", "type", "url", "source"}``. Raises InvalidField."""
    entries = parse_json(body)
    if not isinstance(entries, list) or len(entries) > MAX_LEAKS:
        raise InvalidField("", _("Send an array of up to %(count)s objects.") % {"count": MAX_LEAKS})
    return [_read_entry(index, entry) for index, entry in enumerate(entries)]


def _read_entry(index: int, entry: object) -> Leak:
    match entry:
        case {"token": str(token), "type": str(kind), **rest}:
            # "url" is empty where GitHub may not tell the place, and members may be added to the programme.
            place = {name: rest.get(name) if isinstance(rest.get(name), str) else "" for name in ("url", "source")}
            return Leak(token, kind, str(place["url"])[:MAX_URL_CHARS], str(place["source"])[:MAX_URL_CHARS])
        case _:
            raise InvalidField(str(index), _("An entry has the strings “token” and “type”."))


def feedback(leak: Leak, *, is_real: bool) -> dict[str, str]:
    """Return GitHub's member of the answer for one entry. The token itself is not repeated."""
    return {
        "token_hash": base64.b64encode(hashlib.sha256(leak.token.encode()).digest()).decode(),
        "token_type": leak.kind,
        "label": "true_positive" if is_real else "false_positive",
    }
