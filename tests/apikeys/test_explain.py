"""POST /v1/tenants/{id}/explain: why a call passes or not, for people."""

from typing import Any

import pytest

from apikeys.decisions.checks import CHECKS, LIMITS
from apikeys.models import ApiKey, KeySecret, Meter
from catalog.models import Api
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import Tenant
from tests.answers import NOT_FOUND, invalid, refusal_of
from tests.apikeys.conftest import Issue
from tests.conftest import Caller
from tests.factories import ApiFactory, ApiKeyFactory

pytestmark = pytest.mark.django_db

URL = "/v1/tenants/acme/explain"
PATH = {"path": "/acme/payments/1"}
NAMES = ["route", *(check.name for check in CHECKS + LIMITS)]


def explained(caller: Caller, **body: object) -> tuple[str, str | None, list[str]]:
    """Return the decision, its reason, and the checks that failed."""
    answer: Any = caller.post(URL, PATH | body).json()
    return answer["decision"], answer["reason"], [check["check"] for check in answer["checks"] if not check["passed"]]


def test_every_check_is_told_one_by_one(victor: Caller, secret: str) -> None:
    answer = victor.post(URL, {"key": secret, "method": "GET", "path": "/acme/payments/1"})

    assert answer.status_code == 200
    body = answer.json()
    assert (body["decision"], body["reason"]) == ("allow", None)
    assert [check["check"] for check in body["checks"]] == NAMES
    assert body["checks"][0] == {"check": "route", "passed": True, "detail": "/payments"}


def test_a_key_is_named_by_itself_or_by_its_id(victor: Caller, key: ApiKey) -> None:
    assert explained(victor, key_id=key.id) == ("allow", None, [])
    assert explained(victor) == ("deny", "key_missing", ["key_sent"])


def test_the_first_failure_is_the_reason_and_the_others_are_told(victor: Caller, secret: str) -> None:
    Subscription.objects.update(status=SubscriptionStatus.SUSPENDED)
    Api.objects.update(status="inactive")

    assert explained(victor, key=secret) == (
        "deny", "subscription_suspended", ["subscription_open", "api_active"],
    )  # fmt: skip


def test_a_failure_says_what_to_do(victor: Caller, secret: str) -> None:
    Subscription.objects.update(rate_limit=0)
    checks = victor.post(URL, PATH | {"key": secret}).json()["checks"]
    (failed,) = [check for check in checks if not check["passed"]]
    assert failed["check"] == "hour_left"
    assert "Retry-After" in failed["detail"]


def test_nothing_is_counted_or_noted(victor: Caller, secret: str) -> None:
    explained(victor, key=secret)
    assert not Meter.objects.filter(hour_calls__gt=0).exists()
    assert not KeySecret.objects.exclude(last_used_at=None).exists()


def test_what_is_no_key_or_no_path_ends_it(victor: Caller, secret: str) -> None:
    assert explained(victor, key="stoa_live_x") == ("deny", "key_malformed", ["key_well_formed"])
    assert explained(victor, key=secret, path="/acme/../admin") == ("deny", "route_unknown", ["route"])
    assert explained(victor, key=secret, path="/acme/nothing") == ("deny", "route_unknown", ["route"])


def test_of_another_tenant_nothing_is_explained(victor: Caller, bob: Caller, globex: Tenant, issue: Issue) -> None:
    ApiFactory(tenant=globex, path="/orders")
    foreign_secret = "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"
    foreign = ApiKeyFactory(subscription__tenant=globex, current_secret=foreign_secret)
    _key, secret = issue()

    assert explained(victor, key=secret, path="/globex/orders") == ("deny", "route_unknown", ["route"])
    assert explained(victor, key=foreign_secret) == ("deny", "key_unknown", ["key_known"])
    assert refusal_of(victor.post(URL, PATH | {"key_id": foreign.id})) == invalid("key_id")
    assert refusal_of(bob.post(URL, PATH | {"key": secret})) == NOT_FOUND


def test_a_key_is_named_once(victor: Caller, secret: str, key: ApiKey) -> None:
    assert refusal_of(victor.post(URL, PATH | {"key": secret, "key_id": key.id})) == invalid("key_id")
    assert refusal_of(victor.post(URL, {"key": secret})) == invalid("path", "required")
