"""What lists, pages of the console and configurations read is bounded by what they show."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from apikeys.gateway.document import stream_document
from apikeys.gateway.exporters import FORMATS, stream_configuration
from apikeys.gateway.exporters.site import describe_site
from catalog.models import Api
from metrics.rollups.fold import fold_deltas
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import delete_api_and_subscriptions
from tests.conftest import Caller
from tests.metrics.traffic import record_of, report
from tests.scale.apikeys import key_id
from tests.scale.catalog import api_id
from tests.scale.plans import explained, sequential_scans
from tests.scale.sizes import Sizes
from tests.scale.subscriptions import subscription_id
from tests.scale.tenants import tenant_id

pytestmark = pytest.mark.django_db

LARGE = f"/v1/tenants/{tenant_id(0)}"
# The rows that this transaction has read so far: those of sequential scans, and those that indexes led to.
ROWS_READ = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"


@contextmanager
def reads_at_most(rows: int) -> Iterator[None]:
    """Fail if the block scans a growing table, or reads more rows than that of all tables."""
    before = _rows_read()
    with explained() as statements:
        yield
    read = _rows_read() - before
    assert statements
    assert sequential_scans(statements) == []
    assert read <= rows, read


def _rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(ROWS_READ)
        (rows,) = cursor.fetchone()
    return int(rows)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        # The total counts up to 10,000: here 1,000 keys.
        ("limit=20", 2_500),
        # The large tenant has none of these; ten in a thousand keys of the others rotate.
        ("status=expired", 500),
        ("status=rotating", 1_500),
        ("status=revoked", 500),
        # Each of the 1,000 keys with its secret and its subscription.
        ("status=active", 10_000),
    ],
)
def test_a_page_of_keys(at_scale: Sizes, olga: Caller, query: str, rows: int) -> None:
    assert olga.get(f"{LARGE}/apikeys?limit=1").status_code == 200
    with reads_at_most(rows):
        assert olga.get(f"{LARGE}/apikeys?{query}").status_code == 200


@pytest.mark.parametrize(
    "query", ["type=plan.deleted", "type=plan.*", "type=subscription.*", "type=subscription.created&after=900", ""]
)
def test_a_page_of_events(at_scale: Sizes, olga: Caller, query: str) -> None:
    assert olga.get(f"{LARGE}/events?limit=1").status_code == 200
    with reads_at_most(200):
        assert olga.get(f"{LARGE}/events?{query}").status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        "stoa_cp/event/?q=unknown",
        "stoa_cp/event/?q=plan.deleted",
        "stoa_cp/event/",
        "apikeys/apikey/",
        "apikeys/apikey/?q=unknown",
        "apikeys/apikey/?q=stoa_live_unknown",
        f"apikeys/apikey/?q={key_id(7)}",
        f"apikeys/apikey/?q={subscription_id(7)}",
        "apikeys/keysecret/",
        f"apikeys/keysecret/?q={key_id(7)}",
        "subscriptions/subscription/",
        "subscriptions/subscription/?status__exact=pending_approval",
        "subscriptions/subscription/?status__exact=revoked",
        "subscriptions/subscription/?q=application-7",
        f"subscriptions/subscription/?q={api_id(7)}",
        f"subscriptions/subscription/?q={tenant_id(0)}",
        "catalog/api/",
        "catalog/api/?q=unknown",
    ],
)
def test_a_page_of_the_console(at_scale: Sizes, console: Client, page: str) -> None:
    console.get("/admin/stoa_cp/signingkeyset/")
    with reads_at_most(1_500):
        assert console.get(f"/admin/{page}").status_code == 200


def test_the_dashboard(at_scale: Sizes, console: Client) -> None:
    with explained() as statements:
        assert console.get("/admin/").status_code == 200
    assert sequential_scans(statements) == []


def test_a_scrape(at_scale: Sizes, settings: Settings) -> None:
    settings.STOA_METRICS_ALLOW = ["127.0.0.0/8"]
    with explained() as statements:
        assert Client().get("/metrics").status_code == 200
    assert sequential_scans(statements) == []


@pytest.mark.parametrize("tenants", [None, [tenant_id(1)]])
def test_a_configuration(at_scale: Sizes, tenants: list[str] | None) -> None:
    with explained() as statements:
        for _piece in stream_document(tenants):
            pass
        for program in FORMATS:
            for _piece in stream_configuration(program, describe_site(tenants)):
                pass
    assert sequential_scans(statements) == []


@pytest.mark.parametrize("group_by", ["api", "status"])
def test_metrics_of_400_days(at_scale: Sizes, olga: Caller, group_by: str) -> None:
    with explained() as statements:
        response = olga.get(f"{LARGE}/metrics?granularity=day&group_by={group_by}&start_date=2025-11-01")
        assert response.status_code == 200
        assert b"".join(response).endswith(b"}")
    assert sequential_scans(statements) == []


def test_a_fold(at_scale: Sizes) -> None:
    subscription = Subscription.objects.get(pk=subscription_id(2))
    report(*(record_of(subscription) for _each in range(3)))
    with explained() as statements:
        assert fold_deltas()
    assert sequential_scans(statements) == []


def test_a_cascade(at_scale: Sizes) -> None:
    api = Api.objects.get(pk=api_id(0))
    with explained() as statements:
        delete_api_and_subscriptions(api, cascade=True, by=SYSTEM)
    assert sequential_scans(statements) == []
