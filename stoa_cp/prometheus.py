"""The page that Prometheus scrapes: request metrics of the processes, and the backlogs of all apps."""

from collections.abc import Iterable
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count, F, Max, Min, Model, Q, Sum
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from catalog.authentication import authenticate_gateway, authenticate_gateway_token
from catalog.services.gateways import TOKEN_PREFIX
from metrics.models import TrafficDelta
from stoa_cp.collectors import StorageCollector, WorkCollector
from stoa_cp.db.bounds import count_up_to
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError
from stoa_cp.eventlog.models import Event, EventChain, OutboxEntry
from stoa_cp.identity.permissions import require
from stoa_cp.net.addresses import is_within
from stoa_cp.net.client_address import client_address
from stoa_cp.observability.metrics import process_metrics
from stoa_cp.rest.problems import respond_to
from tenants.models import Tenant, TenantStatus
from webhooks.models import Delivery, DeliveryStatus

logger = structlog.get_logger(__name__)

# A scrape reads so many rows of a backlog at most. An alarm is set far below.
MOST_COUNTED = 100_000
MOST_DELIVERED = 10_000
DATABASE_UP = """# HELP stoa_database_up 1 if the database answered all of this scrape.
# TYPE stoa_database_up gauge
stoa_database_up {}
"""
# Entries among which the oldest is looked for. The table is read in about the order of writing, so that it is among
# the first; all of a long backlog would be a join of each scrape.
OLDEST_AMONG = 1_000


def prometheus(request: HttpRequest) -> HttpResponse:
    """Answer in Prometheus' text format to gateways, the platform, STOA_METRICS_TOKEN and STOA_METRICS_ALLOW."""
    try:
        if not (_has_metrics_token(request) or _has_allowed_address(request)):
            require(_actor_of(request), "monitoring:read")
    except DomainError as refusal:
        return respond_to(refusal)
    parts = [_text_of(collector) for collector in (BacklogCollector(), WorkCollector(), StorageCollector())]
    is_up = DATABASE_UP.format(int(None not in parts)).encode()
    text = b"".join([generate_latest(process_metrics()), *filter(None, parts), is_up])
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _text_of(collector: Collector) -> bytes | None:
    """Return the lines of a collector; None while the database is away, when the process's own metrics matter most."""
    try:
        return generate_latest(collector)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("metrics_not_collected", collector=type(collector).__name__, error=str(error))
        return None


def _has_metrics_token(request: HttpRequest) -> bool:
    tokens: list[str] = settings.STOA_METRICS_TOKEN
    sent = _bearer(request)
    return any(constant_time_compare(sent, token) for token in tokens)


def _has_allowed_address(request: HttpRequest) -> bool:
    """Return True for a scraper in STOA_METRICS_ALLOW. A proxy whose word is not trusted is not the caller."""
    address = client_address(request)
    is_forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    if is_forwarded and address == request.META["REMOTE_ADDR"]:
        return False
    return is_within(address, settings.STOA_METRICS_ALLOW)


def _actor_of(request: HttpRequest) -> Actor:
    """Return the gateway or person. A gateway's token may also come as a bearer token, which Prometheus can send."""
    token = _bearer(request)
    is_gateway = token.startswith(TOKEN_PREFIX)
    return (authenticate_gateway_token(token, request) if is_gateway else authenticate_gateway(request)).actor


def _bearer(request: HttpRequest) -> str:
    scheme, _blank, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class BacklogCollector(Collector):
    """Counts waiting work in the database, at each scrape.

    Every process gives the same answer, and workers need no port of their own to be scraped.
    """

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily("stoa_events_logged", "Events in all chains, to their heads.", _events_logged())
        yield GaugeMetricFamily(
            "stoa_events_waiting",
            "Events that wait for their fan-out; 100,000 means at least so many.",
            count_up_to(MOST_COUNTED, OutboxEntry.objects.all()),
        )
        yield GaugeMetricFamily(
            "stoa_events_waiting_age_seconds", "How long the oldest of them has waited.", _age_of_events()
        )
        yield from _deliveries()
        yield GaugeMetricFamily(
            "stoa_tenants_waiting",
            "Tenants that wait for their set-up.",
            Tenant.objects.live().filter(status=TenantStatus.PROVISIONING).count(),
        )
        yield GaugeMetricFamily(
            "stoa_traffic_deltas_waiting",
            "Sums of traffic that wait to be folded; 100,000 means at least so many.",
            count_up_to(MOST_COUNTED, TrafficDelta.objects.all()),
        )
        yield GaugeMetricFamily(
            "stoa_traffic_deltas_age_seconds",
            "How old the first of them is, by the time of its calls.",
            _age_of_traffic(),
        )


def _events_logged() -> int:
    # The heads' sequences instead of COUNT(*): one row per tenant, however long the log is.
    return EventChain.objects.aggregate(events=Sum("sequence"))["events"] or 0


def _age_of_events() -> float:
    first = OutboxEntry.objects.values("event_id")[:OLDEST_AMONG]
    age = Event.objects.filter(pk__in=first).aggregate(age=Now() - Min("timestamp"))["age"]
    return age.total_seconds() if age else 0.0


def _age_of_traffic() -> float:
    first = TrafficDelta.objects.order_by("id").annotate(age=Now() - F("last_request_at")).values_list("age", flat=True)
    age = first.first()
    # Not below zero: a gateway's clock may be ahead.
    return max(0.0, age.total_seconds()) if age else 0.0


def _deliveries() -> Iterable[Metric]:
    # The first that a partial index leads to.
    waiting = Delivery.objects.pending().order_by()[:MOST_COUNTED]
    is_due = Q(next_attempt_at__lte=Now())
    backlog = waiting.aggregate(
        pending=Count("id"), due=Count("id", filter=is_due), delay=Max(Now() - F("next_attempt_at"), filter=is_due)
    )
    yield _deliveries_by_status(backlog["pending"])
    yield GaugeMetricFamily("stoa_deliveries_due", "Deliveries that could be sent now.", backlog["due"])
    delay = backlog["delay"] or timedelta()
    yield GaugeMetricFamily(
        "stoa_delivery_delay_seconds", "How long the oldest of them has waited.", delay.total_seconds()
    )


def _deliveries_by_status(pending: int) -> Metric:
    failed = count_up_to(MOST_COUNTED, Delivery.objects.filter(status=DeliveryStatus.FAILED))
    # By the primary key, because no index leads to these: nearly all rows are.
    first = Delivery.objects.filter(status=DeliveryStatus.DELIVERED).order_by("pk").values("pk")[:MOST_DELIVERED]
    delivered = first.count()
    if delivered == MOST_DELIVERED:
        # Counting them all took 0.9 s with 2 million. What VACUUM and ANALYZE have counted is near enough for a table
        # that is kept for days.
        delivered = max(delivered, _estimated_rows(Delivery) - pending - failed)
    family = GaugeMetricFamily(
        "stoa_deliveries",
        "Deliveries that are kept, by status. Pending and failed ones are counted up to 100,000, more than 10,000 "
        "delivered ones are estimated.",
        labels=["status"],
    )
    # Also the statuses of which there are none: a missing series is not 0 to Prometheus.
    for status, count in (
        (DeliveryStatus.PENDING, pending),
        (DeliveryStatus.DELIVERED, delivered),
        (DeliveryStatus.FAILED, failed),
    ):
        family.add_metric([status], count)
    return family


def _estimated_rows(model: type[Model]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table])  # noqa: SLF001 - Django documents it
        (rows,) = cursor.fetchone()
    return int(rows)
