"""The Ed25519 keys (RFC 8032) that sign heads of the event log: outside the database, so that its owner cannot sign."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SEED_BYTES = 32  # RFC 8032, section 5.1.5
# 64 bits: enough to tell the keys of one deployment apart. It proves nothing, and need not: a signature is verified
# with a key that the auditor already has.
KEY_ID_CHARACTERS = 16
PEM_BLOCK = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)

PublicKeys = Mapping[str, Ed25519PublicKey]  # by key id


def audit_keys() -> tuple[Ed25519PrivateKey, ...]:
    """Return the keys of ``STOA_AUDIT_KEYS``, newest first: the first signs. Empty if none is set.

    Raises ImproperlyConfigured with the position of a bad seed; the message must not hold the seed.
    """
    return _audit_keys(tuple(settings.STOA_AUDIT_KEYS))


@lru_cache(maxsize=1)  # by the seeds, so that tests may change the setting
def _audit_keys(seeds: tuple[str, ...]) -> tuple[Ed25519PrivateKey, ...]:
    return tuple(_key(seed, position) for position, seed in enumerate(seeds))


def _key(seed: str, position: int) -> Ed25519PrivateKey:
    try:
        # Both alphabets of base64: openssl writes one, the keys of STOA_ENCRYPTION_KEYS have the other.
        raw = base64.b64decode(seed.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != SEED_BYTES:
        raise ImproperlyConfigured(f"STOA_AUDIT_KEYS[{position}] is not {SEED_BYTES} bytes in base64")
    return Ed25519PrivateKey.from_private_bytes(raw)


def public_keys() -> PublicKeys:
    """Return the public keys of ``STOA_AUDIT_KEYS`` by their ids, newest first."""
    return _by_id(key.public_key() for key in audit_keys())


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the start of the SHA-256 of a public key (DER, SubjectPublicKeyInfo, RFC 8410), in hexadecimal."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:KEY_ID_CHARACTERS]


def pem_of(key: Ed25519PublicKey) -> str:
    """Return a public key as openssl reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_public_keys(pem: str) -> PublicKeys:
    """Return the Ed25519 keys of a PEM file by their ids. Raises ValueError if it has none, or another kind of key."""
    try:
        keys = [load_pem_public_key(block.encode()) for block in PEM_BLOCK.findall(pem)]
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    ours = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not ours or len(ours) < len(keys):
        raise ValueError("not a file of Ed25519 public keys in PEM")
    return _by_id(ours)


def _by_id(keys: Iterable[Ed25519PublicKey]) -> PublicKeys:
    return {key_id_of(key): key for key in keys}
