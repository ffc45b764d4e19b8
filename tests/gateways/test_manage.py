"""/v1/gateways: the platform admits, lists, renews and withdraws the proxies that may ask."""

from typing import Any

import pytest

from catalog.authentication import load_gateway
from catalog.models import Gateway
from stoa_cp.eventlog.chain import first_broken_sequence
from stoa_cp.eventlog.emit import PLATFORM_LOG
from stoa_cp.eventlog.models import Event
from tests.answers import MISSING_ROLE, NOT_FOUND, duplicate, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import GatewayFactory
from tests.log import last_event, subject, types, whole_log
from webhooks.delivery.fan_out import fan_out_events

pytestmark = pytest.mark.django_db

URL = "/v1/gateways"


@pytest.fixture
def edge(db: None) -> Gateway:
    return GatewayFactory(name="edge-1")


def register(caller: Caller, name: Any = "edge-1", **headers: str) -> Any:
    return caller.post(URL, {"name": name}, **headers)


def test_a_registration_answers_the_token_once(olga: Caller) -> None:
    response = register(olga)

    assert response.status_code == 201
    gateway = response.json()
    token = gateway.pop("token")
    assert response["Location"] == f"{URL}/{gateway['id']}"
    assert response["Cache-Control"] == "no-store"
    assert olga.get(f"{URL}/{gateway['id']}").json() == gateway
    found = load_gateway(token)
    assert found is not None
    actor = found.actor
    assert actor.id == gateway["id"]
    assert token not in whole_log()


def test_the_log_of_the_platform_tells_who_did_what(olga: Caller) -> None:
    gateway = register(olga).json()
    olga.post(f"{URL}/{gateway['id']}/rotate-token")
    olga.delete(f"{URL}/{gateway['id']}")

    assert types() == ["gateway.created", "gateway.token_rotated", "gateway.deleted"]
    assert set(Event.objects.values_list("tenant_id", "actor")) == {(PLATFORM_LOG, subject("olga"))}
    assert last_event().data["name"] == "edge-1"
    assert first_broken_sequence(PLATFORM_LOG) is None
    assert fan_out_events() == 3  # to nobody


def test_a_name_is_taken_once_and_free_again_after_the_withdrawal(olga: Caller, edge: Gateway) -> None:
    assert refusal_of(register(olga)) == duplicate("name")
    assert olga.delete(f"{URL}/{edge.id}").status_code == 204
    assert register(olga).status_code == 201
    assert refusal_of(olga.delete(f"{URL}/{edge.id}")) == NOT_FOUND


@pytest.mark.parametrize("name", ["", "Edge", "-edge", "edge_1", "e" * 64, "e\ne", 7, None])
def test_a_name_that_is_no_label_is_refused(olga: Caller, name: Any) -> None:
    response = register(olga, name)
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == "name"
    assert not Gateway.objects.exists()


def test_a_new_token_replaces_the_old_one_at_once(olga: Caller) -> None:
    gateway = register(olga).json()
    renewed = olga.post(f"{URL}/{gateway['id']}/rotate-token").json()
    assert load_gateway(gateway["token"]) is None
    assert load_gateway(renewed["token"]) is not None


def test_a_withdrawn_gateway_is_nobody(olga: Caller) -> None:
    gateway = register(olga).json()
    olga.delete(f"{URL}/{gateway['id']}")
    assert load_gateway(gateway["token"]) is None
    assert refusal_of(olga.post(f"{URL}/{gateway['id']}/rotate-token")) == NOT_FOUND


def test_a_retried_registration_shows_the_same_token(olga: Caller) -> None:
    first, second = (register(olga, Idempotency_Key="k-1") for _time in range(2))
    assert first.content == second.content
    assert second["Idempotency-Replayed"] == "true"


def test_a_dry_run_admits_nobody(olga: Caller) -> None:
    assert olga.post(f"{URL}?dry_run=true", {"name": "edge-1"}).status_code == 201
    assert not Gateway.objects.exists()


def test_a_stale_etag_keeps_the_token(olga: Caller, edge: Gateway) -> None:
    tag = olga.get(f"{URL}/{edge.id}")["ETag"]
    edge.save()
    for response in (
        olga.post(f"{URL}/{edge.id}/rotate-token", If_Match=tag),
        olga.delete(f"{URL}/{edge.id}", If_Match=tag),
    ):
        assert response.status_code == 412


def test_the_list_is_sorted_and_searched(olga: Caller) -> None:
    for name in ("edge-b", "edge-a", "core"):
        GatewayFactory(name=name)
    names = [gateway["name"] for gateway in olga.get(f"{URL}?q=edge&sort=name").json()["items"]]
    assert names == ["edge-a", "edge-b"]


def test_a_body_where_none_is_due_is_refused(olga: Caller, edge: Gateway) -> None:
    response = olga.post(f"{URL}/{edge.id}/rotate-token", {"token": "mine"})
    assert refusal_of(response) == invalid("token", "unknown_field")


def test_tenants_do_not_see_gateways(alice: Caller, edge: Gateway) -> None:
    assert refusal_of(alice.get(URL)) == MISSING_ROLE
    assert refusal_of(alice.get(f"{URL}/{edge.id}")) == MISSING_ROLE
