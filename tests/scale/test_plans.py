"""No statement of deliveries or of the event log reads a growing table from its beginning."""

import pytest

from stoa_cp.eventlog.models import Event, OutboxEntry
from tests.scale.plans import explained, sequential_scans
from tests.scale.sizes import Sizes
from webhooks.delivery.fan_out import fan_out_events
from webhooks.delivery.queue import claim_due
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db


def test_sequential_scans_are_found(at_scale: Sizes) -> None:
    with explained() as statements:
        list(Delivery.objects.filter(attempt=6)[:1])
    assert sequential_scans(statements)


def test_fan_out(at_scale: Sizes) -> None:
    newest = Event.objects.order_by("-timestamp").values_list("pk", flat=True)[:2_000]
    OutboxEntry.objects.bulk_create(OutboxEntry(event_id=pk) for pk in newest)
    with explained() as statements:
        fan_out_events()
    assert statements
    assert sequential_scans(statements) == []


def test_claim(at_scale: Sizes) -> None:
    Delivery.objects.filter(status="pending").update(next_attempt_at="2026-01-01T00:00:00Z")
    with explained() as statements:
        assert len(list(claim_due(32))) == 32
    assert sequential_scans(statements) == []
