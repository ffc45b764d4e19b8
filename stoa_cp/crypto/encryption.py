"""Encrypts the secrets that must be sent again, under the newest of a list of keys.

Fernet (AES-CBC with an HMAC) needs no key derivation: each key of the list is 32 random bytes already.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def encrypt(text: str) -> bytes:
    """Return ``text`` as a Fernet token under the newest key."""
    return key_ring().encrypt(text.encode())


def decrypt(token: bytes | memoryview) -> str:
    """Return the text that ``encrypt`` was given. Raises InvalidToken if none of the keys made ``token``."""
    return key_ring().decrypt(bytes(token)).decode()


def reencrypt(token: bytes | memoryview) -> bytes:
    """Return the same secret under the newest key, so that older keys can leave the list.

    Raises InvalidToken if none of the keys made ``token``.
    """
    return key_ring().rotate(bytes(token))


def key_ring() -> MultiFernet:
    """Return the keys of ``STOA_ENCRYPTION_KEYS``: the first encrypts, all decrypt.

    Raises ImproperlyConfigured with the position of a bad key; the message must not hold the key.
    """
    return _key_ring(tuple(settings.STOA_ENCRYPTION_KEYS))


@lru_cache(maxsize=1)  # by the keys, so that tests may change the setting
def _key_ring(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("STOA_ENCRYPTION_KEYS is empty")
    return MultiFernet([_fernet(key, position) for position, key in enumerate(keys)])


def raw_key(key: str) -> bytes:
    """Return the 32 bytes of a key, for a check of their quality."""
    return base64.urlsafe_b64decode(key)


def _fernet(key: str, position: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise ImproperlyConfigured(f"STOA_ENCRYPTION_KEYS[{position}] is not 32 bytes in base64") from error
