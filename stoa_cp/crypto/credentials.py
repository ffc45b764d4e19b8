"""Random credentials: secret scanners recognise them, a typing error is detected, and only digests are stored.

``stoa_live_`` + 40 random base62 characters (238 bits) + 6 base62 characters of the CRC-32 of what precedes.
"""

import base64
import hmac
import re
import secrets
import zlib
from functools import lru_cache

from django.conf import settings

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 40
CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32: every CRC-32 fits
FINGERPRINT_LENGTH = 8  # the columns of models that have one are as wide


def new_credential(prefix: str) -> str:
    """Return a fresh secret such as ``stoa_live_…``; ``prefix`` ends in an underscore."""
    body = prefix + "".join(secrets.choice(ALPHABET) for _place in range(RANDOM_LENGTH))
    return body + checksum(body)


def new_signing_secret() -> str:
    """Return a fresh webhook secret as Standard Webhooks writes it: ``whsec_`` + base64 of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def checksum(body: str) -> str:
    """Return the CRC-32 of ``body`` as six base62 digits, zero-padded."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _place in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_well_formed(text: str, *prefixes: str) -> bool:
    """Return True if ``text`` has the form and the checksum of a credential of this product.

    Sends no query: a mistyped or invented key is refused without the database.
    """
    matched = _shape(prefixes).fullmatch(text)
    return matched is not None and checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]


@lru_cache  # compiled once for each set of prefixes, of which there are a few
def _shape(prefixes: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(prefix) for prefix in prefixes)
    return re.compile(rf"(?:{names})[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}", re.ASCII)


def digest(credential: str) -> bytes:
    """Return HMAC-SHA256 of the credential under the newest pepper: what new rows store.

    No slow hash: it protects secrets that can be guessed, and 238 random bits cannot. This runs on every gateway call,
    and takes 2.5 µs; argon2 takes 313 ms.
    """
    return _hmac(credential, settings.STOA_KEY_PEPPERS[0])


def digests(credential: str) -> list[bytes]:
    """Return the digests under every pepper, newest first: while a pepper is rotated, a row may have any of them."""
    return [_hmac(credential, pepper) for pepper in settings.STOA_KEY_PEPPERS]


def pepper_fingerprints() -> list[str]:
    """Return a public name of each pepper, newest first: 8 hexadecimal digits.

    Stored beside a digest, it tells which pepper the digest needs. It tells nothing else: a pepper has 128 random bits
    or more. Of two peppers, less than one pair in 10⁹ has the same name.
    """
    return [_hmac("stoa pepper", pepper).hex()[:FINGERPRINT_LENGTH] for pepper in settings.STOA_KEY_PEPPERS]


def _hmac(credential: str, pepper: str) -> bytes:
    mac = _hmac_for(pepper).copy()
    mac.update(credential.encode())
    return mac.digest()


@lru_cache
def _hmac_for(pepper: str) -> hmac.HMAC:
    """Return the keyed HMAC, to be copied: every gateway call needs two digests, the gateway's and the key's."""
    return hmac.new(pepper.encode(), digestmod="sha256")
