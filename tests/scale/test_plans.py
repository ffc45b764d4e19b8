"""No statement of deliveries reads a growing table as a whole."""

from datetime import timedelta
from http import HTTPStatus

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event, OutboxEntry
from tests.conftest import Caller
from tests.kernel.console.pages import list_of
from tests.scale.plans import explained, nodes, whole_reads
from tests.scale.sizes import Sizes
from tests.scale.tenants import tenant_id, tenant_name
from tests.scale.values import NOW, id_of
from tests.scale.webhooks import delivery_id, webhook_id
from tests.webhooks.test_queue import outcome_of
from webhooks import tasks
from webhooks.delivery.fan_out import fan_out_events
from webhooks.delivery.health import settle_attempts
from webhooks.delivery.queue import claim_due
from webhooks.delivery.replay import continue_replay, redeliver, replay
from webhooks.models import Delivery, DeliveryStatus, Webhook, WebhookStatus
from webhooks.services import delete_webhook, update_webhook

pytestmark = pytest.mark.django_db


def leave_waiting(count: int) -> None:
    """Let the newest events wait for their fan-out again."""
    newest = Event.objects.order_by("-timestamp").values_list("pk", flat=True)[:count]
    OutboxEntry.objects.bulk_create(OutboxEntry(event_id=pk) for pk in newest)


def make_due() -> None:
    Delivery.objects.pending().update(next_attempt_at=Now() - timedelta(seconds=1))


def test_whole_reads_are_found(at_scale: Sizes) -> None:
    with explained() as statements:
        list(Event.objects.order_by("-timestamp")[:1])
        list(Delivery.objects.filter(body="no index has it"))
        list(Delivery.objects.order_by("body"))
    assert len(whole_reads(statements)) == 2


def test_fan_out_of_the_newest_events(at_scale: Sizes) -> None:
    leave_waiting(5_000)
    with explained() as statements:
        assert fan_out_events() == 100
    assert whole_reads(statements) == []


def test_fan_out_probes_the_log_once_for_each_entry(at_scale: Sizes) -> None:
    """Whatever PostgreSQL believes of the sizes: without the barrier it reads the whole log."""
    leave_waiting(5_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE stoa_cp_eventdispatch")
    with explained(avoids_scans=False) as statements:
        fan_out_events()
    read = [node for _text, plan in statements for node in nodes(plan) if node.get("Relation Name") == "stoa_cp_event"]
    assert read
    assert not [node for node in read if node["Node Type"] == "Seq Scan"]


def test_claims_and_settlements(at_scale: Sizes) -> None:
    make_due()
    with explained() as statements:
        leases = list(claim_due(32))
        assert settle_attempts([outcome_of(lease) for lease in leases]) == 32
        assert settle_attempts([outcome_of(lease, error="timeout") for lease in claim_due(32)]) == 32
    assert whole_reads(statements) == []


def test_nothing_is_due(at_scale: Sizes) -> None:
    with explained() as statements:
        assert list(claim_due(32)) == []
        assert not continue_replay()
        assert fan_out_events() == 0
    assert whole_reads(statements) == []


def test_the_backlog_of_a_disabled_webhook(at_scale: Sizes) -> None:
    make_due()
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    webhook = Webhook.objects.get(pk=webhook_id(0, 0))
    with explained() as statements:
        assert list(claim_due(32)) == []
        update_webhook(webhook, {"status": WebhookStatus.ENABLED}, by=SYSTEM)
    assert whole_reads(statements) == []


def test_replay_and_redelivery(at_scale: Sizes) -> None:
    webhook = Webhook.objects.get(pk=webhook_id(1, 3))
    with explained() as statements:
        assert replay(webhook, NOW - timedelta(days=60), NOW, by=SYSTEM)
        assert continue_replay()
        redeliver(webhook.deliveries.filter(status=DeliveryStatus.FAILED).first(), by=SYSTEM)
        delete_webhook(webhook, by=SYSTEM)
    assert whole_reads(statements) == []


def test_sweeps(at_scale: Sizes) -> None:
    Delivery.objects.filter(created_at__lte=NOW - timedelta(days=2)).update(created_at=NOW - timedelta(days=60))
    Webhook.objects.filter(pk=webhook_id(1, 4)).update(deleted_at=NOW - timedelta(days=60))
    with explained() as statements:
        tasks.purge_expired()
    assert whole_reads(statements) == []
    assert len(statements) < at_scale.webhooks()  # not one for each of them


def test_lists_of_deliveries(at_scale: Sizes, olga: Caller) -> None:
    path = f"/v1/tenants/{tenant_name(0)}/webhooks"
    with explained() as statements:
        for each in (path, f"{path}/{webhook_id(0, 0)}", f"{path}/{webhook_id(0, 0)}/deliveries"):
            assert olga.get(each).status_code == HTTPStatus.OK
    assert whole_reads(statements) == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?status__exact=failed",
        "?status__exact=pending",
        f"?q={delivery_id(0)}",
        f"?q={webhook_id(0, 0)}",
        f"?q={id_of('evt', 49_990)}",
        f"?q={tenant_id(1)}",
        "?q=unknown",
    ],
)
def test_the_page_of_deliveries(at_scale: Sizes, console: Client, query: str) -> None:
    with explained() as statements:
        page = console.get(list_of(Delivery) + query)
    assert page.status_code == HTTPStatus.OK
    assert ("dlv-" in page.content.decode()) == (query != "?q=unknown")
    assert whole_reads(statements) == []


def test_the_first_page_of_deliveries_sorts_nothing(at_scale: Sizes, console: Client) -> None:
    for query in ("", "?status__exact=failed"):
        with explained() as statements:
            console.get(list_of(Delivery) + query)
        plans = [plan for text, plan in statements if 'FROM "webhooks_delivery"' in text]
        assert plans
        assert not [node for plan in plans for node in nodes(plan) if node["Node Type"] == "Sort"]
