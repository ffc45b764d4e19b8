"""System checks that refuse a dangerous configuration in production: ``stoa_cp.wsgi`` runs them at its start."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from stoa_cp.crypto.encryption import key_ring

# 32 hexadecimal digits are 128 bits. Shorter peppers could be guessed by someone who has a key and its digest.
MIN_PEPPER_CHARACTERS = 32


@register(Tags.security)
def check_production(**_kwargs: Any) -> list[CheckMessage]:
    """Return the faults of the settings in production; nothing in development."""
    if not settings.IS_PRODUCTION:
        return []
    return [Error(sentence, id=f"stoa_cp.{number}") for number, sentence in _faults()]


def _faults() -> Iterator[tuple[str, str]]:
    if settings.DEBUG:
        yield "E001", "DEBUG is on."
    if settings.SECRET_KEY.startswith(settings.DEVELOPMENT_SECRET_PREFIX):
        yield "E002", "STOA_SECRET_KEY is not set."
    if any(len(pepper) < MIN_PEPPER_CHARACTERS for pepper in settings.STOA_KEY_PEPPERS) or any(
        pepper.startswith(settings.DEVELOPMENT_SECRET_PREFIX) for pepper in settings.STOA_KEY_PEPPERS
    ):
        yield "E003", f"STOA_KEY_PEPPERS is not set, or has one of less than {MIN_PEPPER_CHARACTERS} characters."
    if not settings.STOA_ENCRYPTION_KEYS:
        yield "E004", "STOA_ENCRYPTION_KEYS is not set."
    else:
        key_ring()  # raises ImproperlyConfigured with the key's position in the list, and never the key
    if "*" in settings.ALLOWED_HOSTS:
        yield "E005", "STOA_ALLOWED_HOSTS lets any Host header in."
    if not (settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE):
        yield "E006", "The cookies of the admin may travel without TLS."
    if urlsplit(settings.STOA_OIDC_ISSUER).scheme != "https":
        yield "E007", "STOA_OIDC_ISSUER is not reached by HTTPS: the development issuer is not for production."
