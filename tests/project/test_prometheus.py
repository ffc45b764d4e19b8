"""What Prometheus reads at /metrics. Who may read it: ``tests/security/test_metrics_access.py``."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.emit import emit
from tenants.models import Tenant
from tests.conftest import Caller
from tests.factories import TenantFactory
from tests.webhooks.factories import DeliveryFactory

pytestmark = pytest.mark.django_db

ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture(autouse=True)
def _scrapers_on_this_machine(settings: Settings) -> None:
    """As `make run` has it."""
    settings.STOA_METRICS_ALLOW = ["127.0.0.0/8"]


@pytest.fixture
def remote_client() -> Client:
    """A client on another machine."""
    return Client(**ELSEWHERE)


def scrape(**headers: str) -> dict[tuple[str, ...], float]:
    """Return each sample's value by its name and its labels' values in the order of their names."""
    response = Client().get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


def counted(samples: dict[tuple[str, ...], float], route: str, status: str) -> float:
    return samples.get(("stoa_http_requests_total", "GET", route, status), 0)


def test_requests_are_counted_by_route_and_status(alice: Caller, acme: Tenant) -> None:
    route = "v1/tenants/<str:tenant_id>"
    before = scrape()
    alice.get("/v1/tenants/acme")
    alice.get(f"/v1/tenants/{acme.id}")
    alice.get("/v1/tenants/globex")
    after = scrape()

    assert counted(after, route, "200") - counted(before, route, "200") == 2
    assert counted(after, route, "404") - counted(before, route, "404") == 1
    duration = ("stoa_http_request_duration_seconds_count", "GET", route)
    assert after[duration] - before.get(duration, 0) == 3
    assert after["stoa_http_request_duration_seconds_sum", "GET", route] > 0


def test_what_strangers_invent_makes_no_new_series(anonymous: Caller) -> None:
    anonymous.send("BREW", "/v1/me", None, {})
    scrape()  # a scrape counts itself from the next one on
    before = scrape()
    for number in range(3):
        anonymous.get(f"/v1/{number}")
        anonymous.get(f"/{number}")
        anonymous.send(f"BREW{number}", "/v1/me", None, {})

    series = {name[1:3] for name in scrape().keys() - before.keys() if name[0] == "stoa_http_requests_total"}
    assert series <= {("GET", "")}


def test_the_backlog_is_read_from_the_rows() -> None:
    now = timezone.now()
    tenant = TenantFactory(name="initech", status="provisioning")
    with transaction.atomic():
        emit("tenant.created", tenant_id=tenant.id, actor=SYSTEM, data={})
    logged = scrape()["stoa_events_logged_total",]
    delivery = DeliveryFactory(next_attempt_at=now - timedelta(seconds=90))
    DeliveryFactory(webhook=delivery.webhook, next_attempt_at=now + timedelta(hours=1))
    DeliveryFactory(webhook=delivery.webhook, status="failed", next_attempt_at=None)
    samples = scrape()

    assert logged >= 1
    assert samples["stoa_events_waiting",] >= 1
    assert samples["stoa_tenants_waiting",] == 1
    assert samples["stoa_traffic_deltas_waiting",] == 0
    assert [samples["stoa_deliveries", status] for status in ("pending", "delivered", "failed")] == [2, 0, 1]
    assert samples["stoa_deliveries_due",] == 1
    assert 90 <= samples["stoa_delivery_delay_seconds",] < 120


def test_a_scrape_stops_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting all deliveries took most of 0.9 s a scrape, with 2 million of them."""
    for most in ("MOST_COUNTED", "MOST_DELIVERED"):
        monkeypatch.setattr(f"stoa_cp.prometheus.{most}", 2)
    delivery = DeliveryFactory()
    for status in ("pending", "pending", "delivered", "delivered", "delivered", "failed", "failed", "failed"):
        due = timezone.now() if status == "pending" else None
        DeliveryFactory(webhook=delivery.webhook, status=status, next_attempt_at=due)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_delivery")
    samples = scrape()
    # All nine, less those that were counted.
    assert [samples["stoa_deliveries", status] for status in ("pending", "delivered", "failed")] == [2, 5, 2]


def test_an_empty_database_is_all_zeros() -> None:
    samples = scrape()

    assert samples["stoa_events_logged_total",] == 0
    assert samples["stoa_delivery_delay_seconds",] == 0


COUNT_ONE = "from stoa_cp.observability.metrics import REQUESTS; REQUESTS.labels('GET', 'v1/me', 200).inc()"


def test_processes_that_share_a_folder_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for _process in range(2):
        subprocess.run([sys.executable, "-c", COUNT_ONE], check=True)

    assert counted(scrape(), "v1/me", "200") == 2
