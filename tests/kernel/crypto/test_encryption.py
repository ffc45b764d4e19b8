"""Secrets that must be sent again, and the change of the keys that protect them."""

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from stoa_cp.crypto.encryption import decrypt, encrypt, reencrypt

OLD, NEW = (Fernet.generate_key().decode() for _key in range(2))


def test_a_secret_comes_back_as_it_was(settings: Settings) -> None:
    settings.STOA_ENCRYPTION_KEYS = [OLD]
    token = encrypt("whsec_élan")
    assert b"whsec" not in token
    assert decrypt(token) == decrypt(memoryview(token)) == "whsec_élan"


def test_the_newest_key_encrypts_and_the_older_ones_still_decrypt(settings: Settings) -> None:
    settings.STOA_ENCRYPTION_KEYS = [OLD]
    old = encrypt("secret")
    settings.STOA_ENCRYPTION_KEYS = [NEW, OLD]
    assert decrypt(old) == "secret"
    new = encrypt("secret")
    settings.STOA_ENCRYPTION_KEYS = [NEW]
    assert decrypt(new) == "secret"
    with pytest.raises(InvalidToken):
        decrypt(old)


def test_an_old_key_can_leave_once_its_secrets_are_encrypted_anew(settings: Settings) -> None:
    settings.STOA_ENCRYPTION_KEYS = [OLD]
    token = encrypt("secret")
    settings.STOA_ENCRYPTION_KEYS = [NEW, OLD]
    token = reencrypt(token)
    settings.STOA_ENCRYPTION_KEYS = [NEW]
    assert decrypt(token) == "secret"


def test_a_changed_secret_is_noticed(settings: Settings) -> None:
    settings.STOA_ENCRYPTION_KEYS = [NEW]
    token = bytearray(encrypt("secret"))
    token[20] ^= 1
    with pytest.raises(InvalidToken):
        decrypt(bytes(token))


def test_a_key_of_openssl_rand_serves_as_well(settings: Settings) -> None:
    settings.STOA_ENCRYPTION_KEYS = ["+/" * 21 + "A="]  # standard base64, not its URL-safe variant
    assert decrypt(encrypt("secret")) == "secret"


def test_a_bad_key_is_named_by_its_place_alone(settings: Settings) -> None:
    settings.STOA_ENCRYPTION_KEYS = [NEW, "hunter2"]
    with pytest.raises(ImproperlyConfigured, match=r"STOA_ENCRYPTION_KEYS\[1\]") as refusal:
        encrypt("secret")
    assert "hunter2" not in str(refusal.value)


def test_without_a_key_nothing_is_encrypted(settings: Settings) -> None:
    settings.STOA_ENCRYPTION_KEYS = []
    with pytest.raises(ImproperlyConfigured, match="is empty"):
        encrypt("secret")
