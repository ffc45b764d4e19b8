"""Test keys: they lead to the API's sandbox, and have the limits of the subscription on meters of their own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide
from apikeys.decisions.meters import reset_meter
from apikeys.models import Meter, Mode
from catalog.models import Api
from stoa_cp.caching.barrier import wait_for_invalidation
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tests import log
from tests.apikeys.conftest import Edge, Issue
from tests.conftest import Caller
from tests.listening import listener

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keys_never_idle")]

SANDBOX = "https://sandbox.example.com/try"
CADDY, NGINX = "/v1/gateway/authorize/caddy", "/v1/gateway/authorize/nginx"


@pytest.fixture(params=["cached", "uncached"], autouse=True)
def caching(request: Any, db: None) -> Iterator[None]:
    """Decide each case by the statement alone, and with the cache before it."""
    if request.param == "uncached":
        yield
        return
    with listener():
        wait_for_invalidation()
        yield


@pytest.fixture
def test_secret(issue: Issue) -> str:
    Api.objects.update(sandbox_url=SANDBOX)
    wait_for_invalidation()
    return issue(mode="test")[1]


def ask(edge: Edge, key: str | None, path: str = CADDY, **headers: str) -> Any:
    sent = {"X-Forwarded-Uri": "/acme/payments/42", "X-Original-URI": "/acme/payments/42"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return edge.ask(path, sent | ({"X-API-Key": key} if key else {}) | named)


@pytest.mark.parametrize("path", [CADDY, NGINX])
def test_a_test_key_leads_to_the_sandbox_and_a_live_one_to_the_upstream(
    edge: Edge, secret: str, test_secret: str, path: str
) -> None:
    for _call in range(4):
        tested, live = ask(edge, test_secret, path), ask(edge, secret, path)
        assert (tested.status_code, tested["X-Stoa-Mode"], tested["X-Stoa-Upstream"]) == (200, "test", SANDBOX)
        assert (tested["X-Stoa-Upstream-Host"], tested["X-Stoa-Path"]) == ("sandbox.example.com:443", "/try/42")
        assert (live["X-Stoa-Mode"], live["X-Stoa-Upstream"]) == ("live", "https://pay.example.com:8443/base/")
        assert [edge.verify(key).json()["mode"] for key in (test_secret, secret)] == ["test", "live"]


def test_an_anonymous_call_is_live(edge: Edge, secret: str) -> None:
    Api.objects.update(auth_required=False)
    wait_for_invalidation()
    assert ask(edge, None, X_Stoa_Mode="test")["X-Stoa-Mode"] == "live"
    # What is no key of ours does not choose the mode, however it looks.
    assert ask(edge, "STOA_TEST_x")["X-Stoa-Mode"] == "live"
    assert ask(edge, secret, Authorization="bearer\tstoa_test_x")["X-Stoa-Mode"] == "live"


def test_without_a_sandbox_a_test_key_is_refused(edge: Edge, secret: str, test_secret: str) -> None:
    for _call in range(4):
        assert ask(edge, test_secret).status_code == 200
    Api.objects.update(sandbox_url=None)
    wait_for_invalidation()
    counted = list(Meter.objects.values_list("hour_calls", flat=True))
    refused = ask(edge, test_secret)
    assert (refused.status_code, refused["X-Stoa-Reason"]) == (403, "test_mode_unavailable")
    assert edge.verify(test_secret).json()["code"] == "test_mode_unavailable"
    assert edge.verify(test_secret, path="/acme/payments").json()["code"] == "test_mode_unavailable"
    assert sum(Meter.objects.values_list("hour_calls", flat=True)) <= sum(counted)
    assert ask(edge, secret).status_code == 200


def test_a_gateway_that_has_its_upstreams_in_a_file_gets_no_test_call(edge: Edge, test_secret: str) -> None:
    uri = "/acme/payments/42"
    for _call in range(4):
        assert ask(edge, test_secret).status_code == 200
    for path, headers in (
        ("/v1/gateway/authorize", {}),
        ("/v1/gateway/authorize/ingress", {"X_Original_URL": f"https://x{uri}"}),
        (f"/v1/gateway/authorize/envoy{uri}", {}),
    ):
        assert ask(edge, test_secret, path, **headers)["X-Stoa-Reason"] == "test_mode_unavailable"


def limit(**limits: int | None) -> None:
    Subscription.objects.update(**{"rate_limit": None, "quota": None} | limits)
    wait_for_invalidation()


def passed(secret: str, count: int) -> int:
    return sum(decide(Call(secret)).is_allowed for _call in range(count))


@pytest.mark.parametrize("field", ["rate_limit", "quota"])
def test_each_mode_has_all_calls_of_the_limit(secret: str, test_secret: str, mobile: Subscription, field: str) -> None:
    limit(**{field: 50})
    assert (passed(test_secret, 60), passed(secret, 60), passed(test_secret, 1)) == (50, 50, 0)
    counts = dict(Meter.objects.values_list("subject", "month_calls"))
    assert counts == {mobile.id: 50, mobile.id.replace("sub-", "tst-"): 50}
    assert {meter.subject: meter.mode for meter in Meter.objects.all()}[mobile.id.replace("sub-", "tst-")] == Mode.TEST


def test_test_calls_use_up_nothing_of_the_apis_ceiling(
    edge: Edge, secret: str, test_secret: str, payments: Api
) -> None:
    limit()
    Api.objects.update(requests_per_hour=10)
    wait_for_invalidation()
    assert passed(test_secret, 30) == 30
    assert not Meter.objects.filter(subject=payments.id).exists()
    assert ask(edge, test_secret)["X-RateLimit-Limit"] == ""
    assert passed(secret, 30) == 10
    assert passed(test_secret, 5) == 5


def test_a_tested_quota_is_not_announced(secret: str, test_secret: str) -> None:
    limit(quota=10)
    assert passed(test_secret, 12) == 10
    assert not [kind for kind in log.types() if kind.startswith("quota.")]
    assert passed(secret, 12) == 10
    assert [kind for kind in log.types() if kind.startswith("quota.")] == ["quota.warning", "quota.exceeded"]


def test_a_test_meter_is_reset_by_itself(secret: str, test_secret: str, mobile: Subscription) -> None:
    limit(quota=10)
    passed(test_secret, 10)
    passed(secret, 10)
    reset_meter(Meter.objects.get(subject__startswith="tst-"), by=SYSTEM)
    assert (passed(test_secret, 12), passed(secret, 1)) == (10, 0)
    data = log.last_event().data
    assert (data["subscription_id"], data["mode"]) == (mobile.id, "test")


def test_explain_names_it(victor: Caller, issue: Issue, console: Client) -> None:
    key, _secret = issue(mode="test")
    explained = victor.post("/v1/tenants/acme/explain", {"key_id": key.id, "path": "/acme/payments"}).json()
    assert explained["reason"] == "test_mode_unavailable"
    (failed,) = [check for check in explained["checks"] if not check["passed"]]
    assert (failed["check"], failed["detail"][:10]) == ("test_mode_available", "A test key")


def test_a_busy_test_key_takes_no_query(
    test_secret: str, caching: None, request: Any, django_assert_num_queries: Callable[..., DjangoAssertNumQueries]
) -> None:
    if request.node.callspec.params["caching"] == "uncached":
        return
    limit(quota=1_000_000)
    passed(test_secret, 20)
    with django_assert_num_queries(0):
        assert passed(test_secret, 20) == 20
