"""Secrets of every shape, and signatures that the published vectors and the official verifier agree with."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from standardwebhooks import Webhook as Verifier

from webhooks.delivery.signing import SecretRefused, format_secret, is_weak, mask_secret, parse_secret, sign

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = '{"test": 2432232314}'
KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def b64(size: int) -> str:
    return base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize(
    ("secret", "signature"),
    [
        (KEY, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (f"whsec_{KEY}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ("whsec_abc123", "v1,KYj/BmWJ45Vb32yUxwaWWeptWAjgqqsgjlUyt/zRaVQ="),
    ],
)
def test_the_published_vectors(secret: str, signature: str) -> None:
    assert sign([parse_secret(secret)], ID, AT, BODY) == signature


def test_during_a_rotation_both_sign_the_current_first() -> None:
    keys = [parse_secret(KEY), parse_secret("whsec_abc123")]
    assert sign(keys, ID, AT, BODY) == " ".join(sign([key], ID, AT, BODY) for key in keys)


@given(key=st.binary(min_size=1, max_size=64), body=st.text(st.characters(exclude_categories=["Cs"])))
def test_the_official_verifier_accepts_every_signature(key: bytes, body: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": sign([b"another key", key], ID, now, body),
    }
    Verifier(format_secret(key)).verify(body.encode(), headers, json_parse=False)


@given(st.binary(min_size=1, max_size=64))
def test_every_spelling_of_a_key_is_that_key(key: bytes) -> None:
    padded = base64.b64encode(key).decode()
    for text in (padded, padded.rstrip("="), f"whsec_{padded}", f"whsec_{padded.rstrip('=')}"):
        assert parse_secret(text) == key


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_=",
        "=",
        "a",
        "abcde",
        "whsec_abcde",
        "ab=cd",
        "abc===",
        "abcd ",
        " abcd",
        "ab cd",
        "abcd\n",
        "ab\x00cd",
        "ab-_cd==",
        "abcd!",
        "äbcd",
        "whsec_whsec_abcd",
        "WHSEC_abcd",
        "secret:abcd",
        b64(65),
        "A" * 100_000,
    ],
)
def test_an_odd_secret_is_refused_with_a_sentence(secret: str) -> None:
    with pytest.raises(SecretRefused) as refusal:
        parse_secret(secret)
    assert str(refusal.value.reason).endswith(".")


@pytest.mark.parametrize(("size", "weak"), [(1, True), (23, True), (24, False), (64, False)])
def test_short_secrets_are_weak(size: int, weak: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_weak(parse_secret(b64(size))) is weak


def test_an_operator_may_refuse_weak_secrets(settings: Settings) -> None:
    settings.STOA_WEBHOOK_MIN_SECRET_BYTES = 24
    parse_secret(b64(24))
    with pytest.raises(SecretRefused, match="24 bytes"):
        parse_secret("whsec_abc123")


def test_a_hint_shows_four_characters_of_a_strong_secret_and_none_of_a_weak_one() -> None:
    assert mask_secret(parse_secret(KEY)) == "whsec_…LaSw"
    assert mask_secret(parse_secret("whsec_abc123")) == "whsec_…"
