"""A claim reads no more rows when more webhooks have something pending."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from tests.scale.plans import explained, sequential_scans
from tests.scale.sizes import Sizes
from tests.scale.values import NOW, id_of
from tests.scale.webhooks import URL, webhook_id
from webhooks.delivery import queue
from webhooks.delivery.queue import claim_due
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db

FEW = 2_000  # enough that each lane has more than the hundred candidates of a claim
ROWS_READ = """
SELECT idx_scan + idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'webhooks_delivery'
"""
COST_AT_MOST = 1.5  # times


def rows_read_by_a_claim() -> int:
    """Return how many rows a claim of 32 reads, and how many index probes it makes, in this transaction."""

    def rows_read() -> int:
        with connection.cursor() as cursor:
            cursor.execute(ROWS_READ)
            return int(cursor.fetchone()[0])

    before = rows_read()
    assert len(list(claim_due(32))) == 32
    return rows_read() - before


def add_webhooks(sizes: Sizes, count: int, due_at: object) -> None:
    """Add webhooks of all tenants with a pending delivery each."""
    tenants = Webhook.objects.filter(pk__in=[webhook_id(tenant, 0) for tenant in range(sizes.tenants)])
    ids = list(tenants.values_list("tenant_id", flat=True))
    webhooks = [
        Webhook(tenant_id=ids[number % len(ids)], url=URL, events=["*"], secret=b"not used") for number in range(count)
    ]
    Webhook.objects.bulk_create(webhooks)
    event = id_of("evt", 0)
    Delivery.objects.bulk_create(
        Delivery(tenant_id=each.tenant_id, webhook=each, event_id=event, body="{}", next_attempt_at=due_at)
        for each in webhooks
    )


def make_some_due(sizes: Sizes) -> None:
    """Make 80 deliveries due, and end the leases."""
    some = [webhook_id(tenant, place) for tenant in range(sizes.tenants) for place in range(8)]
    Delivery.objects.filter(token__isnull=False).update(token=None)
    Delivery.objects.filter(webhook__in=some, status="pending").update(next_attempt_at=Now() - timedelta(minutes=1))


@pytest.mark.parametrize("due_at", [NOW + timedelta(hours=20), NOW - timedelta(hours=1)], ids=["waiting", "due"])
def test_five_times_as_many_webhooks_cost_a_claim_no_more(
    at_scale: Sizes, due_at: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In their order, not in a random one: in some, a claim of 32 needs twice as many lanes as in others.
    due_lanes = queue._due_lanes
    monkeypatch.setattr(queue, "_due_lanes", lambda: sorted(due_lanes()))
    costs = []
    for count in (FEW, 4 * FEW):
        add_webhooks(at_scale, count, due_at)
        make_some_due(at_scale)
        costs.append(rows_read_by_a_claim())
    assert costs[1] <= COST_AT_MOST * costs[0]


def test_a_claim_probes_webhooks_one_by_one_whatever_the_statistics_say(at_scale: Sizes) -> None:
    """After a burst of new webhooks they say that hardly any is enabled. A plan for that reads all webhooks."""
    make_some_due(at_scale)
    Webhook.objects.update(status="disabled")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_webhook")
    Webhook.objects.update(status="enabled")
    with explained(avoids_scans=False) as statements:
        assert list(claim_due(32))
    assert sequential_scans(statements) == []
