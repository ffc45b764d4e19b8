"""Rotating a webhook's secret: an instant without a valid one does not exist."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from stoa_cp.crypto.encryption import decrypt
from tests.answers import MISSING_ROLE, invalid, refusal_of
from tests.conftest import Caller
from tests.log import last_event, whole_log
from tests.webhooks.claims import claim
from tests.webhooks.factories import SECRET, DeliveryFactory
from webhooks.delivery.signing import parse_secret
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(webhook: Webhook) -> str:
    return f"/v1/tenants/acme/webhooks/{webhook.id}/rotate-secret"


def signing_secrets(webhook: Webhook) -> list[str]:
    """Return what the next delivery is signed with, the current one first."""
    DeliveryFactory(webhook=webhook)
    return [decrypt(secret) for secret in claim(1)[0].secrets]


def test_the_new_secret_is_shown_once_and_both_sign(alice: Caller, path: str, webhook: Webhook) -> None:
    answer = alice.post(path, {})
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    body = answer.json()
    assert len(parse_secret(body["secret"])) == 32
    assert body["secret_hint"].endswith(body["secret"].rstrip("=")[-4:])
    assert body["previous_secret_valid_until"]
    assert last_event().type == "webhook.secret_rotated"
    assert signing_secrets(webhook) == [body["secret"], SECRET]
    read = alice.get(path.removesuffix("/rotate-secret")).json()
    assert "secret" not in read
    assert body["secret"].removeprefix("whsec_") not in whole_log()


def test_the_overlap_is_a_day_unless_said_otherwise(alice: Caller, path: str) -> None:
    alice.post(path, {})
    left = Webhook.objects.annotate(now=Now()).get()
    assert timedelta(hours=23, minutes=59) < left.previous_secret_valid_until - left.now <= timedelta(days=1)


def test_after_the_overlap_the_old_secret_signs_no_more(alice: Caller, path: str, webhook: Webhook) -> None:
    new = alice.post(path, {"overlap_seconds": 60}).json()["secret"]
    Webhook.objects.update(previous_secret_valid_until=Now() - timedelta(seconds=1))
    assert signing_secrets(webhook) == [new]


def test_without_overlap_it_ends_at_once(alice: Caller, path: str, webhook: Webhook) -> None:
    body = alice.post(path, {"overlap_seconds": 0}).json()
    assert body["previous_secret_valid_until"] is None
    assert signing_secrets(webhook) == [body["secret"]]


def test_rotating_again_keeps_the_two_newest(alice: Caller, path: str, webhook: Webhook) -> None:
    first = alice.post(path, {}).json()["secret"]
    second = alice.post(path, {}).json()["secret"]
    assert signing_secrets(webhook) == [second, first]


def test_a_client_may_bring_its_own(alice: Caller, path: str) -> None:
    body = alice.post(path, {"secret": "whsec_abc123"}).json()
    assert parse_secret(body["secret"]) == parse_secret("whsec_abc123")
    assert body["secret_strength"] == "weak"
    assert body["warning"]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"secret": "abcde"}, invalid("secret")),
        ({"secret": None}, invalid("secret", "null")),
        ({"overlap_seconds": -1}, invalid("overlap_seconds", "min_value")),
        ({"overlap_seconds": 30 * 86_400 + 1}, invalid("overlap_seconds", "max_value")),
        ({"overlap_seconds": "60"}, invalid("overlap_seconds")),
        ({"overlap": 60}, invalid("overlap", "unknown_field")),
    ],
)
def test_a_bad_rotation_is_refused(alice: Caller, path: str, body: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    assert refusal_of(alice.post(path, body)) == refusal


def test_readers_rotate_nothing(victor: Caller, path: str) -> None:
    assert refusal_of(victor.post(path, {})) == MISSING_ROLE
