"""Makes the secrets of an installation, each in the form that its setting takes."""

import base64
import secrets
from collections.abc import Callable, Mapping

from cryptography.fernet import Fernet


def new_secret() -> str:
    """Return 48 random bytes as text without characters that a shell, a URL or an environment file treats specially.

    Its 64 characters are more than the 50 that Django's own check wants of a secret key.
    """
    return secrets.token_urlsafe(48)


def new_seed() -> str:
    """Return 32 random bytes in base64, as an Ed25519 key is made of."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


# Every secret that the service itself makes and keeps. Of a list, one entry.
MAKERS: Mapping[str, Callable[[], str]] = {
    "STOA_SECRET_KEY": new_secret,
    "STOA_KEY_PEPPERS": new_secret,
    "STOA_ENCRYPTION_KEYS": lambda: Fernet.generate_key().decode(),
    "STOA_AUDIT_KEYS": new_seed,
}
