"""The credential of a gateway: issued, rotated, withdrawn, presented."""

from functools import partial

import psycopg
import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from catalog.authentication import load_gateway
from catalog.models import Gateway
from catalog.services.gateways import create_gateway, delete_gateway, rotate_gateway_token
from stoa_cp.crypto.credentials import digest, is_well_formed
from stoa_cp.db.constraints import Duplicate
from stoa_cp.domain.actors import SYSTEM, operator
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.emit import PLATFORM_LOG
from stoa_cp.eventlog.models import Event
from tests.answers import refused_fields
from tests.conftest import Caller
from tests.databases import database_url
from tests.kernel.console.pages import answer, dialog_of
from tests.races import at_once, outcome_of

pytestmark = pytest.mark.django_db

OLGA = operator("olga")


def test_a_gateway_is_known_by_its_token() -> None:
    issued = create_gateway("edge-1", by=OLGA)
    gateway, token = issued.resource, issued.secret

    found = load_gateway(token)
    assert found is not None
    actor = found.actor
    assert (actor.id, actor.roles, actor.tenants) == (gateway.id, {"stoa-gateway"}, ())


def test_only_a_digest_of_the_token_is_kept() -> None:
    issued = create_gateway("edge-1", by=OLGA)
    gateway, token = issued.resource, issued.secret

    assert is_well_formed(token, "stoa_gtw_")
    assert bytes(gateway.token_digest) == digest(token)


def test_a_name_is_unique_while_the_gateway_lives() -> None:
    gateway = create_gateway("edge-1", by=OLGA).resource

    with pytest.raises(Duplicate), transaction.atomic():
        create_gateway("edge-1", by=OLGA)
    delete_gateway(gateway, by=OLGA)
    create_gateway("edge-1", by=OLGA)


def test_a_rotation_ends_the_old_token_at_once() -> None:
    issued = create_gateway("edge-1", by=OLGA)
    gateway, old = issued.resource, issued.secret

    new = rotate_gateway_token(gateway, by=OLGA).secret

    assert load_gateway(old) is None
    assert load_gateway(new) is not None


def test_a_withdrawn_gateway_is_refused() -> None:
    issued = create_gateway("edge-1", by=OLGA)
    gateway, token = issued.resource, issued.secret

    delete_gateway(gateway, by=OLGA)

    assert load_gateway(token) is None
    with pytest.raises(NotFound):
        delete_gateway(gateway, by=OLGA)
    with pytest.raises(NotFound):
        rotate_gateway_token(gateway, by=OLGA)


@pytest.mark.parametrize(
    "token", ["", "stoa_gtw_", "stoa_live_" + "0" * 46, "stoa_gtw_" + "0" * 46, "é" * 55, "x" * 9999]
)
def test_what_is_no_token_asks_no_database(token: str, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]  # pytest-django's fixture has no public type
        assert load_gateway(token) is None


def test_its_presence_is_noted_once_a_minute() -> None:
    issued = create_gateway("edge-1", by=OLGA)
    gateway, token = issued.resource, issued.secret

    load_gateway(token)
    first = Gateway.objects.get(pk=gateway.pk).last_seen_at
    load_gateway(token)

    assert first is not None
    assert (timezone.now() - first).total_seconds() < 60
    assert Gateway.objects.get(pk=gateway.pk).last_seen_at == first


@pytest.mark.parametrize("name", ["Edge 1", "edge_1", "-edge", "e" * 64, ""])
def test_the_console_takes_no_name_that_rest_refuses(console: Client, olga: Caller, name: str) -> None:
    answer(console, dialog_of(Gateway, "create"), name=name)
    assert not Gateway.objects.exists()
    assert refused_fields(olga.post("/v1/gateways", {"name": name})).keys() == {"name"}


def test_the_console_registers_a_gateway(console: Client) -> None:
    shown = answer(console, dialog_of(Gateway, "create"), name="edge-1.example").content.decode()
    assert Gateway.objects.get().name == "edge-1.example"
    assert "stoa_gtw_" in shown


@pytest.mark.django_db(transaction=True)
def test_a_token_is_accepted_although_its_row_is_locked_for_long(caplog: pytest.LogCaptureFixture) -> None:
    issued = create_gateway("edge-1", by=OLGA)

    with psycopg.connect(database_url()) as other:
        other.execute("SELECT FROM catalog_gateway FOR UPDATE")
        assert load_gateway(issued.secret) is not None

    assert caplog.text.count("gateway_use_not_recorded") == 1
    assert Gateway.objects.get().last_seen_at is None
    assert load_gateway(issued.secret) is not None
    assert Gateway.objects.get().last_seen_at is not None


def test_the_platforms_log_tells_who_did_it() -> None:
    issued = create_gateway("edge-1", by=OLGA)
    gateway, token = issued.resource, issued.secret
    rotate_gateway_token(gateway, by=OLGA)
    delete_gateway(gateway, by=OLGA)

    events = Event.objects.filter(tenant_id=PLATFORM_LOG).order_by("sequence")
    assert [event.type for event in events] == ["gateway.created", "gateway.token_rotated", "gateway.deleted"]
    assert {(event.data["id"], event.actor) for event in events} == {(gateway.id, "stoa:operator:olga")}
    assert token not in str([event.data for event in events])


@pytest.mark.django_db(transaction=True)
def test_a_rotation_does_not_bring_a_withdrawn_gateway_back() -> None:
    for number in range(20):
        gateway = create_gateway(f"edge-{number}", by=SYSTEM).resource
        rotate = outcome_of(partial(rotate_gateway_token, gateway, by=SYSTEM))
        delete = outcome_of(partial(delete_gateway, gateway, by=SYSTEM))

        at_once(delete, *[rotate] * 5)

        gateway.refresh_from_db()
        assert gateway.deleted_at is not None
