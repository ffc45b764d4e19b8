"""POST /v1/gateway/keys/verify: whose key it is, whether it opens something, and what is left of its limits."""

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide, record_use
from apikeys.models import ApiKey, KeySecret, Meter
from apikeys.services import keys
from apikeys.services.revocations import revoke_key
from catalog.models import Api
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import Tenant
from tests.answers import invalid, refusal_of
from tests.apikeys.conftest import Edge, Issue
from tests.conftest import Caller
from tests.databases import database_url
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db

PAST = timezone.now() - timedelta(seconds=1)


def test_a_good_key_is_told_with_its_limits(edge: Edge, mobile: Subscription, issue: Issue) -> None:
    key, secret = issue(expires_at=timezone.now().replace(microsecond=0) + timedelta(days=1))

    response = edge.verify(secret, api_id=mobile.api_id, path="/acme/payments/1", method="GET")
    answer = response.json()

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert answer.pop("rate_limit") == {"limit": 1000, "remaining": 999, "reset": hour_end()}
    quota = answer.pop("quota")
    assert (quota["limit"], quota["used"], quota["remaining"]) == (50_000, 1, 49_999)
    assert quota["resets_at"].endswith("-01T00:00:00Z")
    assert answer == {
        "valid": True,
        "code": "valid",
        "key_id": key.id,
        "subscription_id": mobile.id,
        "api_id": mobile.api_id,
        "tenant_id": mobile.tenant_id,
        "application": "mobile",
        "plan": mobile.plan.slug,
        "mode": "live",
        "expires_at": f"{key.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        "rotating": False,
    }


def hour_end() -> int:
    return int((timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)).timestamp())


STATES: dict[str, Callable[[], object]] = {
    "key_revoked": lambda: revoke_key(ApiKey.objects.get(), by=SYSTEM),
    "key_expired": lambda: ApiKey.objects.update(expires_at=PAST),
    "subscription_suspended": lambda: Subscription.objects.update(status=SubscriptionStatus.SUSPENDED),
    "subscription_revoked": lambda: Subscription.objects.update(status=SubscriptionStatus.REVOKED),
    "subscription_expired": lambda: Subscription.objects.update(status=SubscriptionStatus.EXPIRED),
    "api_inactive": lambda: Api.objects.update(status="inactive"),
    "tenant_suspended": lambda: Tenant.objects.update(status="suspended"),
}


@pytest.mark.parametrize("reason", STATES)
def test_a_key_is_refused_for_what_stands_behind_it(
    edge: Edge, mobile: Subscription, issue: Issue, reason: str
) -> None:
    key, secret = issue()
    STATES[reason]()

    by_key, by_path = edge.verify(secret), edge.authorize("/acme/payments", secret)

    assert (by_key.json()["valid"], by_key.json()["code"]) == (False, reason)
    assert by_key.json()["key_id"] == key.id
    assert by_path.status_code == (401 if reason.startswith("key_") else 403)
    assert by_path["X-Stoa-Reason"] == by_path.json()["error"]["reason"] == reason
    assert not Meter.objects.filter(hour_calls__gt=0).exists()


def test_a_subscription_whose_time_is_over_is_refused_before_the_sweep(
    edge: Edge, mobile: Subscription, secret: str
) -> None:
    Subscription.objects.update(created_at=PAST - timedelta(days=1), expires_at=PAST)
    assert edge.verify(secret).json()["code"] == "subscription_expired"


def test_the_keys_of_a_deleted_tenant_are_revoked(edge: Edge, acme: Tenant, secret: str) -> None:
    Tenant.objects.update(status="deleted", deleted_at=PAST)
    assert edge.verify(secret).json()["code"] == "key_revoked"
    assert edge.authorize("/acme/payments", secret)["X-Stoa-Reason"] == "route_unknown"


def test_a_key_opens_the_api_that_it_was_issued_for_only(edge: Edge, acme: Tenant, secret: str) -> None:
    other = ApiFactory(tenant=acme, path="/other")
    assert edge.verify(secret, api_id=other.id).json()["code"] == "api_not_subscribed"
    assert edge.verify(secret, path="/acme/other").json()["code"] == "api_not_subscribed"
    assert edge.verify(secret, path="/acme/payments", api_id=other.id).json()["code"] == "api_not_subscribed"
    assert edge.verify(secret, path="/acme/nothing").json()["code"] == "route_unknown"
    assert edge.verify(secret, path="/acme/payments/..%2fother").json()["code"] == "route_unknown"


VECTOR = "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"
MALFORMED = [
    VECTOR[:-1] + "9",
    VECTOR[:-1],
    VECTOR + "x",
    f" {VECTOR}",
    f"{VECTOR}\n",
    f"{VECTOR},{VECTOR}",
    VECTOR.replace("live", "LIVE"),
    VECTOR.replace("0123", "012٣"),
    "stoa_gtw_" + VECTOR[10:],
    "' OR 1=1 --",
    "%00",
    "é" * 100,
    "x" * 4096,
]


@pytest.mark.parametrize("key", MALFORMED)
def test_a_malformed_key_costs_no_query(key: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert decide(Call(key)).reason == "key_malformed"


@pytest.mark.parametrize("key", MALFORMED)
def test_a_malformed_key_is_said_to_be_one(edge: Edge, key: str) -> None:
    answer = edge.verify(key).json()
    assert (answer["valid"], answer["code"], answer["rate_limit"]) == (False, "key_malformed", None)


def test_no_key_is_missing_and_a_strangers_is_unknown(edge: Edge) -> None:
    assert edge.verify("").json()["code"] == "key_missing"
    assert edge.verify(VECTOR).json()["code"] == "key_unknown"


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"cost": -1}, "cost", "min_value"),
        ({"cost": 1_000_001}, "cost", "max_value"),
        ({"cost": True}, "cost", "invalid"),
        ({"cost": "1"}, "cost", "invalid"),
        ({"path": 7}, "path", "invalid"),
        ({"token": "x"}, "token", "unknown_field"),
        ({"key": 7}, "key", "invalid"),
        ({"key": None}, "key", "null"),
        ({"key": "x" * 4097}, "key", "max_length"),
    ],
)
def test_a_question_that_is_none_is_400(edge: Edge, fields: dict[str, object], field: str, code: str) -> None:
    assert refusal_of(edge.verify(**{"key": VECTOR} | fields)) == invalid(field, code)


def test_a_decision_is_one_statement(secret: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    decide(Call(secret))  # opens the meter and notes the use
    with CaptureQueriesContext(connection) as captured:
        assert decide(Call(secret)).is_allowed
    assert len(captured) == 1


def test_its_use_is_noted_once_a_minute(secret: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    decide(Call(secret))
    (noted,) = KeySecret.objects.exclude(last_used_at=None)
    with django_assert_num_queries(1):
        decide(Call(secret))
    KeySecret.objects.update(last_used_at=noted.last_used_at - timedelta(seconds=61))
    decide(Call(secret))
    noted.refresh_from_db()
    assert timezone.now() - noted.last_used_at < timedelta(seconds=30)


def test_of_two_that_note_the_same_use_the_first_writes(secret: str) -> None:
    (row,) = KeySecret.objects.all()
    found = bytes(row.digest)
    record_use(row.pk, found, found)
    KeySecret.objects.update(last_used_at=timezone.now() - timedelta(seconds=30))
    (noted,) = KeySecret.objects.all()
    record_use(row.pk, found, found)  # it asked before the first one had written
    row.refresh_from_db()
    assert row.last_used_at == noted.last_used_at


@pytest.mark.django_db(transaction=True)
def test_a_call_passes_although_its_key_is_locked_for_long(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT FROM apikeys_keysecret FOR UPDATE")
        assert decide(Call(secret)).is_allowed

    assert caplog.text.count("key_use_not_recorded") == 1
    assert KeySecret.objects.get().last_used_at is None
    assert Meter.objects.get().month_calls == 1
    decide(Call(secret))
    assert KeySecret.objects.get().last_used_at is not None


def test_looking_notes_nothing(secret: str) -> None:
    decide(Call(secret, cost=0))
    assert not KeySecret.objects.exclude(last_used_at=None).exists()


def test_both_secrets_of_a_rotation_verify_and_the_use_of_the_old_one_is_told(
    edge: Edge, alice: Caller, issue: Issue
) -> None:
    key, old = issue()
    issued = keys.rotate_key(key, 3600, by=SYSTEM)
    key, new = issued.resource, issued.secret

    answers = [edge.verify(secret).json() for secret in (old, new)]

    assert [(answer["code"], answer["key_id"], answer["rotating"]) for answer in answers] == [
        ("valid", key.id, True)
    ] * 2
    assert alice.get(f"/v1/tenants/acme/apikeys/{key.id}").json()["previous_last_used_at"] is not None


def test_a_secret_that_was_rotated_out_is_revoked(edge: Edge, issue: Issue) -> None:
    key, old = issue()
    new = keys.rotate_key(key, 0, by=SYSTEM).secret
    assert edge.verify(old).json()["code"] == "key_revoked"
    assert edge.verify(new).json()["code"] == "valid"


def test_a_key_under_an_older_pepper_still_verifies(secret: str, settings: Settings) -> None:
    settings.STOA_KEY_PEPPERS = ["a-newer-pepper", *settings.STOA_KEY_PEPPERS]
    assert decide(Call(secret, cost=0)).is_allowed  # counts nothing, so it is no use, which renews the digest
    settings.STOA_KEY_PEPPERS = ["a-newer-pepper"]
    assert decide(Call(secret)).reason == "key_unknown"


def test_only_gateways_and_the_platform_verify(olga: Caller, alice: Caller, anonymous: Caller) -> None:
    body, url = {"key": new_credential("stoa_live_")}, "/v1/gateway/keys/verify"
    assert anonymous.post(url, body).status_code == 401
    assert alice.post(url, body).status_code == 403
    assert olga.post(url, body).json()["code"] == "key_unknown"
