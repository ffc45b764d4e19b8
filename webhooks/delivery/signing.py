"""Secrets and signatures of deliveries, as Standard Webhooks 1.0 defines them."""

import base64
import re
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from standardwebhooks import Webhook as Signer

PREFIX = "whsec_"
STRONG_BYTES = 24  # what Standard Webhooks asks for: 24 to 64 bytes
MAX_BYTES = 64
HINT_LENGTH = 4
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)


class SecretRefused(ValueError):
    """A supplied secret cannot be used. ``reason`` is a sentence for the person who sent it."""

    def __init__(self, reason: str | Promise) -> None:
        super().__init__(reason)
        self.reason = reason


def format_secret(key: bytes) -> str:
    """Return the one spelling of a key under which it is stored and shown."""
    return PREFIX + base64.b64encode(key).decode()


def parse_secret(text: str) -> bytes:
    """Return the key that somebody wants to use, with or without its prefix and its padding.

    Raises SecretRefused as decode_secret does, and for fewer bytes than ``STOA_WEBHOOK_MIN_SECRET_BYTES``.
    """
    key = decode_secret(text)
    least = settings.STOA_WEBHOOK_MIN_SECRET_BYTES
    if len(key) < least:
        raise SecretRefused(_("The secret must have at least %d bytes.") % least)
    return key


def decode_secret(text: str) -> bytes:
    """Return the key that a secret spells.

    Raises SecretRefused for what is no standard base64 (RFC 4648 §4), and for more than 64 bytes.
    """
    encoded = text.removeprefix(PREFIX)
    if not BASE64.fullmatch(encoded):
        raise SecretRefused(_("The secret must be base64 (A–Z, a–z, 0–9, + and /), with or without “whsec_”."))
    digits = encoded.rstrip("=")
    if len(digits) % 4 == 1:
        raise SecretRefused(_("The secret is no base64 of whole bytes: a character is missing or too many."))
    key = base64.b64decode(digits + "=" * (-len(digits) % 4))
    if len(key) > MAX_BYTES:
        raise SecretRefused(_("The secret must not be longer than 64 bytes."))
    return key


def is_weak(key: bytes) -> bool:
    """Tell whether a key is shorter than Standard Webhooks wants it."""
    return len(key) < STRONG_BYTES


def mask_secret(key: bytes) -> str:
    """Return what may be shown of a secret for ever: its last characters, none of a weak one."""
    spelled = format_secret(key).rstrip("=")
    return f"{PREFIX}…" if is_weak(key) else f"{PREFIX}…{spelled[-HINT_LENGTH:]}"


def sign(keys: Sequence[bytes], message_id: str, at: datetime, body: str) -> str:
    """Return the ``webhook-signature`` header: one signature for each key, in their order."""
    return " ".join(Signer(key).sign(message_id, at, body) for key in keys)
