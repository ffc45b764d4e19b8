"""Gateway tokens that are accepted from some networks only, and for some tenants only."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apikeys.gateway.exporters import FORMATS
from apikeys.models import Meter
from apikeys.services.keys import NewKey, issue_key
from catalog.models import Api, Gateway
from catalog.services.gateways import Binding, create_gateway, update_gateway
from metrics.models import TrafficDelta
from stoa_cp.caching.barrier import wait_for_invalidation
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.apikeys.conftest import Edge
from tests.factories import ApiFactory, SubscriptionFactory
from tests.listening import listener

pytestmark = pytest.mark.django_db

AUTHORIZE, VERIFY = "/v1/gateway/authorize", "/v1/gateway/keys/verify"
INSIDE, OUTSIDE = "198.51.100.7", "203.0.113.9"
BOUND = Binding(allowed_ips=["198.51.100.0/24"])


def edge_with(binding: Binding) -> Edge:
    return Edge(create_gateway("edge-2", binding, by=SYSTEM).secret)


def ask(edge: Edge, path: str, sender: str, **headers: str) -> Any:
    """Send what the path takes from the address ``sender``."""
    client: Client = edge._client
    sent = edge._headers | {name.replace("_", "-"): value for name, value in headers.items()}
    if path == "/v1/gateway/config":
        return client.get(path, headers=sent, REMOTE_ADDR=sender)
    body = {VERIFY: {"key": "none"}, "/v1/gateway/traffic": {"batch_id": "b", "records": []}}.get(path, {})
    return client.post(path, json.dumps(body), content_type="application/json", headers=sent, REMOTE_ADDR=sender)


# --- Networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [AUTHORIZE, VERIFY, "/v1/gateway/config", "/v1/gateway/traffic"])
def test_from_elsewhere_a_token_is_as_good_as_none(path: str, caplog: pytest.LogCaptureFixture) -> None:
    edge, unknown = edge_with(BOUND), Edge("stoa_gtw_none")

    refused = ask(edge, path, OUTSIDE)
    logged = [record.msg for record in caplog.records if "gateway_address_refused" in record.getMessage()]
    error = refused.json()["error"]

    assert refused.status_code == 401
    assert error | {"request_id": ""} == ask(unknown, path, OUTSIDE).json()["error"] | {"request_id": ""}
    assert "X-Stoa-Reason" not in refused.headers
    assert [entry["address"] for entry in logged] == [OUTSIDE]
    assert ask(edge, path, INSIDE).status_code != 401


def test_what_a_sender_says_of_itself_is_not_believed(settings: Any) -> None:
    edge = edge_with(BOUND)
    assert ask(edge, VERIFY, OUTSIDE, X_Forwarded_For=INSIDE).status_code == 401
    settings.STOA_TRUSTED_PROXIES = ["127.0.0.1/32"]
    assert ask(edge, VERIFY, "127.0.0.1", X_Forwarded_For=INSIDE).status_code == 200
    assert ask(edge, VERIFY, "127.0.0.1", X_Forwarded_For=f"{INSIDE}, {OUTSIDE}").status_code == 401


# --- Tenants ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def orders(globex: Tenant) -> Api:
    return ApiFactory(tenant=globex, name="orders", path="/orders")


@pytest.fixture
def foreign(orders: Api) -> str:
    """A key to the API of a tenant that the gateway does not serve."""
    subscription = SubscriptionFactory(tenant=orders.tenant, api=orders, active=True)
    return issue_key(subscription, NewKey(), by=SYSTEM).secret


@pytest.fixture
def bound(acme: Tenant) -> Edge:
    return edge_with(Binding(tenants=["acme"]))


def test_another_tenants_paths_and_keys_do_not_exist(bound: Edge, orders: Api, foreign: str, secret: str) -> None:
    assert bound.authorize("/acme/payments", secret).status_code == 200
    Api.objects.filter(pk=orders.pk).update(auth_required=False)
    for key in (foreign, None):
        refused = bound.authorize("/globex/orders", key)
        assert (refused.status_code, refused["X-Stoa-Reason"]) == (404, "route_unknown")
    assert bound.verify(foreign).json() == bound.verify(foreign[:-1] + "0").json() | {"code": "key_unknown"}
    assert bound.verify(foreign, api_id=orders.id).json()["code"] == "key_unknown"
    assert bound.verify(foreign, path="/globex/orders").json()["code"] == "route_unknown"
    assert not Meter.objects.filter(tenant=orders.tenant).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("keys_never_idle")
def test_what_another_gateway_has_cached_is_not_for_this_one(edge: Edge, bound: Edge, foreign: str) -> None:
    with listener():
        wait_for_invalidation()
        for _call in range(5):
            assert edge.authorize("/globex/orders", foreign).status_code == 200
            assert edge.verify(foreign).json()["valid"]
        assert bound.authorize("/globex/orders", foreign)["X-Stoa-Reason"] == "route_unknown"
        assert bound.verify(foreign).json()["code"] == "key_unknown"
        update_gateway(Gateway.objects.get(name="edge-2"), {"tenants": None}, by=SYSTEM)
        assert bound.authorize("/globex/orders", foreign).status_code == 200
        update_gateway(Gateway.objects.get(name="edge-2"), {"allowed_ips": ["198.51.100.0/24"]}, by=SYSTEM)
        assert bound.authorize("/globex/orders", foreign).status_code == 401


def test_a_configuration_shows_the_bound_tenants_only(bound: Edge, foreign: str, secret: str) -> None:
    assert foreign
    assert secret
    document = ask(bound, "/v1/gateway/config", INSIDE).json()
    assert [route["path"] for route in document["routes"]] == ["/acme/payments"]
    assert (len(document["keys"]), len(document["subscriptions"])) == (1, 1)


@pytest.mark.parametrize("program", FORMATS)
def test_so_does_every_format(bound: Edge, edge: Edge, foreign: str, secret: str, program: str) -> None:
    assert foreign
    assert secret

    def text(gateway: Edge) -> str:
        content: bytes = gateway.ask(f"/v1/gateway/config?format={program}", {}).content
        return content.decode()

    orders = Api.objects.get(name="orders")
    known = {name for name in (orders.id, "/globex/orders", orders.upstream_url) if name in text(edge)}
    assert bool(known) is (program not in ("nginx", "caddy"))
    assert not {name for name in known - {orders.upstream_url} if name in text(bound)}


def test_traffic_of_other_tenants_is_refused_record_by_record(
    bound: Edge, payments: Api, orders: Api, acme: Tenant
) -> None:
    now = timezone.now().isoformat()
    subscription = SubscriptionFactory(tenant=orders.tenant, api=orders, active=True)
    records = [
        {"timestamp": now, "api_id": payments.id, "status": 200, "latency_ms": 1},
        {"timestamp": now, "api_id": orders.id, "status": 200, "latency_ms": 1},
        {"timestamp": now, "api_id": orders.id, "subscription_id": subscription.id, "status": 200, "latency_ms": 1},
    ]
    body = json.dumps({"batch_id": "b", "records": records})
    for query in ("?dry_run=true", ""):
        answer = bound._client.post(
            f"/v1/gateway/traffic{query}", body, content_type="application/json", headers=bound._headers
        ).json()
        assert answer["accepted"] == 1
        assert [(refusal["index"], refusal["code"]) for refusal in answer["refused"]] == [
            (1, "unknown_api"),
            (2, "unknown_api"),
        ]
    assert list(TrafficDelta.objects.values_list("tenant", flat=True)) == [acme.id]


# --- Upstreams -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("keys_never_idle")
def test_an_api_whose_upstream_is_refused_is_not_called(
    edge: Edge, payments: Api, issue: Callable[..., tuple[Any, str]]
) -> None:
    _key, secret = issue()
    with listener():
        wait_for_invalidation()
        for _call in range(5):
            assert edge.authorize("/acme/payments", secret).status_code == 200
        counted = list(Meter.objects.values_list("hour_calls", flat=True))
        Api.objects.filter(pk=payments.pk).update(upstream_refused_at=timezone.now())
        wait_for_invalidation()
        refused = edge.authorize("/acme/payments", secret)
        assert (refused.status_code, refused["X-Stoa-Reason"]) == (403, "upstream_refused")
        Api.objects.update(auth_required=False)
        wait_for_invalidation()
        assert edge.authorize("/acme/payments")["X-Stoa-Reason"] == "upstream_refused"
        assert sum(Meter.objects.values_list("hour_calls", flat=True)) <= sum(counted)
