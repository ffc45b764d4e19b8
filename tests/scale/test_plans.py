"""No statement of deliveries reads a growing table as a whole."""

import pytest
from django.db import connection

from stoa_cp.eventlog.models import Event, OutboxEntry
from tests.scale.plans import explained, nodes, whole_reads
from tests.scale.sizes import Sizes
from webhooks.delivery.fan_out import fan_out_events
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db


def leave_waiting(count: int) -> None:
    """Let the newest events wait for their fan-out again."""
    newest = Event.objects.order_by("-timestamp").values_list("pk", flat=True)[:count]
    OutboxEntry.objects.bulk_create(OutboxEntry(event_id=pk) for pk in newest)


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
