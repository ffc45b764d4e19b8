"""Parses signing secrets and signs deliveries, as Standard Webhooks 1.0 defines it."""

import base64
import re
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from standardwebhooks import Webhook as Signer

PREFIX = "whsec_"
# Standard Webhooks asks for 24 to 64 bytes. Fewer are accepted with a warning, unless STOA_WEBHOOK_MIN_SECRET_BYTES
# is set, because the secret in the specification's own example is shorter.
STRONG_BYTES = 24
MAX_BYTES = 64
HINT_LENGTH = 4  # characters, 24 bits: enough to tell two secrets apart, useless to guess the other 168 bits or more
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)


class SecretRefused(ValueError):
    """A supplied secret cannot be used. ``reason`` is a sentence for the client who sent it."""

    def __init__(self, reason: str | Promise) -> None:
        super().__init__(reason)
        self.reason = reason


def format_secret(key: bytes) -> str:
    """Return the text of a key as it is stored and shown: ``whsec_`` and padded base64."""
    return PREFIX + base64.b64encode(key).decode()


def parse_secret(text: str) -> bytes:
    """Return the key of a secret that a client supplies, with or without prefix and padding.

    Raises SecretRefused as decode_secret does, and if it has fewer bytes than ``STOA_WEBHOOK_MIN_SECRET_BYTES``.
    """
    key = decode_secret(text)
    min_bytes = settings.STOA_WEBHOOK_MIN_SECRET_BYTES
    if len(key) < min_bytes:
        raise SecretRefused(_("The secret must have at least %d bytes.") % min_bytes)
    return key


def decode_secret(text: str) -> bytes:
    """Return the key that a secret encodes. For stored secrets: an operator's minimum does not apply to them.

    Raises SecretRefused if the text is not standard base64 (RFC 4648 §4), or has more than 64 bytes.
    """
    encoded = text.removeprefix(PREFIX)
    if not BASE64.fullmatch(encoded):
        raise SecretRefused(_("The secret must be base64 (A–Z, a–z, 0–9, + and /), with or without “whsec_”."))
    digits = encoded.rstrip("=")
    if len(digits) % 4 == 1:  # 6 bits are left over, and no byte has 6 bits
        raise SecretRefused(_("The secret is no base64 of whole bytes: a character is missing or too many."))
    key = base64.b64decode(digits + "=" * (-len(digits) % 4))
    if len(key) > MAX_BYTES:
        raise SecretRefused(_("The secret must not be longer than 64 bytes."))
    return key


def is_weak(key: bytes) -> bool:
    """Return True if a key is shorter than Standard Webhooks asks for."""
    return len(key) < STRONG_BYTES


def mask_secret(key: bytes) -> str:
    """Return the part of a secret that is always shown: its last four characters, none of a weak secret."""
    secret = format_secret(key).rstrip("=")
    return f"{PREFIX}…" if is_weak(key) else f"{PREFIX}…{secret[-HINT_LENGTH:]}"


def sign(keys: Sequence[bytes], message_id: str, at: datetime, body: str) -> str:
    """Return the ``webhook-signature`` header: a signature for each key, in their order, separated by spaces."""
    return " ".join(Signer(key).sign(message_id, at, body) for key in keys)
