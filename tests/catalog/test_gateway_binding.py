"""Binding a gateway to the networks from which its token is accepted, and to tenants."""

from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from catalog.models import Api, Gateway
from catalog.serializers import MAX_NETWORKS, MAX_TENANTS
from catalog.services.gateways import delete_gateway, update_gateway
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tenants.services import delete_tenant
from tests import log
from tests.answers import invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import GatewayFactory
from tests.kernel.console.pages import answer, dialog_of
from tests.races import at_once, outcome_of

pytestmark = pytest.mark.django_db

GATEWAYS = "/v1/gateways"


@pytest.fixture
def gateway(db: None) -> Gateway:
    return GatewayFactory(name="edge-1")


def path_of(gateway: Gateway) -> str:
    return f"{GATEWAYS}/{gateway.id}"


def test_a_gateway_is_bound_to_nothing(olga: Caller) -> None:
    created = olga.post(GATEWAYS, {"name": "edge-1"}).json()

    assert (created["allowed_ips"], created["tenants"]) == (None, None)


def test_it_may_be_bound_from_the_start(olga: Caller, acme: Tenant) -> None:
    body = {"name": "edge-1", "allowed_ips": ["198.51.100.7", "::ffff:10.0.0.0/104"], "tenants": ["acme", acme.id]}
    created = olga.post(GATEWAYS, body).json()

    assert created["allowed_ips"] == ["198.51.100.7/32", "10.0.0.0/8"]
    assert created["tenants"] == [acme.id]
    assert log.last_event().data["tenants"] == [acme.id]


def test_a_change_is_in_the_log_once(olga: Caller, gateway: Gateway, acme: Tenant, globex: Tenant) -> None:
    changed = olga.patch(path_of(gateway), {"allowed_ips": ["10.0.0.9/8"], "tenants": ["globex", acme.id]}).json()
    again = olga.patch(path_of(gateway), changed).json()

    assert changed["tenants"] == [globex.id, acme.id]
    assert again == changed
    event = log.last_event()
    assert (event.type, event.actor) == ("gateway.updated", log.subject("olga"))
    assert event.changes == {"allowed_ips": [None, ["10.0.0.0/8"]], "tenants": [None, [globex.id, acme.id]]}
    assert log.types() == ["gateway.updated"]


def test_null_takes_the_binding_away(olga: Caller, acme: Tenant) -> None:
    gateway = GatewayFactory(allowed_ips=["10.0.0.0/8"], tenants=[acme.id])

    changed = olga.patch(path_of(gateway), {"allowed_ips": None, "tenants": None}).json()

    assert (changed["allowed_ips"], changed["tenants"]) == (None, None)


def test_the_id_of_a_deleted_tenant_may_be_sent_back(olga: Caller, acme: Tenant, globex: Tenant) -> None:
    gateway = GatewayFactory(tenants=[acme.id])
    delete_tenant(acme, by=SYSTEM)

    assert olga.patch(path_of(gateway), {"tenants": [acme.id, "globex"]}).json()["tenants"] == [acme.id, globex.id]
    assert refusal_of(olga.patch(path_of(gateway), {"tenants": ["acme"]})) == invalid("tenants")
    assert refusal_of(olga.post(GATEWAYS, {"name": "x", "tenants": [acme.id]})) == invalid("tenants")


@pytest.mark.parametrize(
    ("field", "value", "refused"),
    [
        ("allowed_ips", [], {"allowed_ips": "min_length"}),
        ("allowed_ips", "10.0.0.0/8", {"allowed_ips": "not_a_list"}),
        ("allowed_ips", ["10.0.0.0/8", 7, "here"], {"allowed_ips.1": "invalid", "allowed_ips.2": "not_a_network"}),
        ("allowed_ips", [None], {"allowed_ips.0": "null"}),
        ("allowed_ips", ["x"] * (MAX_NETWORKS + 1), {"allowed_ips": "max_length"}),
        ("tenants", [], {"tenants": "min_length"}),
        ("tenants", [7], {"tenants.0": "invalid"}),
        ("tenants", ["not-there"], {"tenants": "invalid"}),
        ("tenants", ["x"] * (MAX_TENANTS + 1), {"tenants": "max_length"}),
        ("name", "edge-2", {"name": "read_only"}),
    ],
)
def test_a_wrong_binding_is_refused(
    olga: Caller, gateway: Gateway, field: str, value: Any, refused: dict[str, str]
) -> None:
    assert refused_fields(olga.patch(path_of(gateway), {field: value})) == refused
    assert not log.events().exists()


def test_an_operator_binds_it_in_the_console(console: Client, gateway: Gateway, acme: Tenant) -> None:
    dialog = dialog_of(gateway, "bind")
    answer(console, dialog, allowed_ips="10.0.0.7/8\n 2001:DB8::1", tenants="acme")
    gateway.refresh_from_db()
    assert (gateway.allowed_ips, gateway.tenants) == (["10.0.0.0/8", "2001:db8::1/128"], [acme.id])
    assert "10.0.0.0/8\n2001:db8::1/128" in console.get(dialog).content.decode()

    refused = answer(console, dialog, allowed_ips="10.0.0.0/8 here there", tenants=acme.id).content.decode()
    assert refused.count("This is no network") == 1
    assert "There is no tenant elsewhere." in answer(console, dialog, tenants="elsewhere").content.decode()

    answer(console, dialog, allowed_ips="", tenants="")
    gateway.refresh_from_db()
    assert (gateway.allowed_ips, gateway.tenants) == (None, None)
    assert log.types() == ["gateway.updated"] * 2


@pytest.mark.django_db(transaction=True)
def test_two_changes_at_once_do_not_undo_each_other() -> None:
    gateway = GatewayFactory(tenants=["ten-0123456789abcdef"])
    changes: list[dict[str, Any]] = [{"allowed_ips": ["10.0.0.0/8"]}, {"tenants": None}]

    at_once(*[partial(update_gateway, gateway, change, by=SYSTEM) for change in changes] * 3)

    gateway.refresh_from_db()
    assert (gateway.allowed_ips, gateway.tenants) == (["10.0.0.0/8"], None)


@pytest.mark.django_db(transaction=True)
def test_a_change_does_not_bring_a_withdrawn_gateway_back() -> None:
    for number in range(10):
        gateway = GatewayFactory()
        change = outcome_of(partial(update_gateway, gateway, {"allowed_ips": [f"10.0.0.{number}/32"]}, by=SYSTEM))

        at_once(outcome_of(partial(delete_gateway, gateway, by=SYSTEM)), *[change] * 3)

        gateway.refresh_from_db()
        assert gateway.deleted_at is not None


@pytest.mark.parametrize(
    ("model", "silent"),
    [
        (Api, {"upstream_check_due_at"}),
        (Gateway, {"id", "name", "token_pepper", "last_seen_at", "created_at", "updated_at", "version"}),
    ],
)
def test_every_column_that_a_decision_reads_is_announced_to_the_caches(model: Any, silent: set[str]) -> None:
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attribute.attname FROM pg_trigger trigger, unnest(trigger.tgattr) number"
            " JOIN pg_attribute attribute ON attribute.attnum = number"
            " WHERE trigger.tgname = %s AND attribute.attrelid = trigger.tgrelid",
            [f"{table}_announces_change"],
        )
        announced = {name for (name,) in cursor.fetchall()}

    assert announced == {field.column for field in model._meta.concrete_fields} - silent
