"""What waits to be done, and how much was: asked of the rows at each scrape, so that every process says the same."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import Now
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from metrics.models import TrafficDelta
from stoa_cp.eventlog.models import EventChain, OutboxEntry
from tenants.models import Tenant, TenantStatus
from webhooks.models import Delivery, DeliveryStatus


class BacklogCollector(Collector):
    """A Prometheus collector over the database."""

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily("stoa_events_logged", "Events in all chains, to their heads.", _logged())
        yield GaugeMetricFamily(
            "stoa_events_waiting", "Events that wait for their fan-out.", OutboxEntry.objects.count()
        )
        yield from _deliveries()
        yield GaugeMetricFamily(
            "stoa_tenants_waiting",
            "Tenants that wait for their set-up.",
            Tenant.objects.live().filter(status=TenantStatus.PROVISIONING).count(),
        )
        yield GaugeMetricFamily(
            "stoa_traffic_deltas_waiting", "Sums of traffic that wait to be folded.", TrafficDelta.objects.count()
        )


def _logged() -> int:
    return EventChain.objects.aggregate(events=Sum("sequence"))["events"] or 0


def _deliveries() -> Iterable[Metric]:
    is_due = Q(status=DeliveryStatus.PENDING, next_attempt_at__lte=Now())
    waiting = Delivery.objects.pending().aggregate(
        due=Count("id", filter=is_due), delay=Max(Now() - F("next_attempt_at"), filter=is_due)
    )
    kept = dict(Delivery.objects.order_by().values_list("status").annotate(Count("id")))
    by_status = GaugeMetricFamily("stoa_deliveries", "Deliveries that are kept, by status.", labels=["status"])
    for status in DeliveryStatus.values:
        by_status.add_metric([status], kept.get(status, 0))
    yield by_status
    yield GaugeMetricFamily("stoa_deliveries_due", "Deliveries that could be sent now.", waiting["due"])
    delay = waiting["delay"] or timedelta()
    yield GaugeMetricFamily(
        "stoa_delivery_delay_seconds", "How long the oldest of them has waited.", delay.total_seconds()
    )
