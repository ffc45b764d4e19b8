"""Prepared statements: planned once, seen by whoever counts queries, and not lost with their connection."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.core.signals import request_started
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from psycopg import connect

from stoa_cp.db.prepared import PARAMETER, fetch_all, fetch_one, prepared_query
from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica"])
STATEMENT = "SELECT %(number)s::bigint + 1"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A connection that outlives its request, as in production."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    connection.close()
    yield
    connection.close()


def test_a_row_comes_back_or_none() -> None:
    assert fetch_one(STATEMENT, {"number": 41}) == (42,)
    assert fetch_one("SELECT 1 WHERE %(number)s::bigint > 1", {"number": 1}) is None


def test_all_rows_come_back_from_the_database_that_was_named() -> None:
    statement = "SELECT number, %(noon)s::timestamptz, 'ab'::bytea FROM generate_series(1, %(last)s::int) number"
    noon = datetime(2025, 1, 9, 12, tzinfo=UTC)
    with CaptureQueriesContext(connections["replica"]) as captured:
        rows = fetch_all(statement, {"noon": noon, "last": 2}, using="replica")

    assert rows == [(1, noon, b"ab"), (2, noon, b"ab")]
    assert len(captured) == 1


def test_it_is_prepared_the_first_time() -> None:
    for number in range(3):
        fetch_one(STATEMENT, {"number": number})
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(generic_plans + custom_plans) FROM pg_prepared_statements WHERE name LIKE '_pg3%%'")
        assert cursor.fetchone() == (3,)


def test_it_counts_as_a_query() -> None:
    with CaptureQueriesContext(connection) as captured:
        fetch_one(STATEMENT, {"number": 1})
    assert len(captured) == 1


def test_a_failure_is_djangos() -> None:
    with pytest.raises(OperationalError):
        fetch_one("SELECT pg_terminate_backend(pg_backend_pid()) WHERE %(number)s > 0", {"number": 1})
    connection.close()


@pytest.mark.usefixtures("kept")
def test_the_next_request_notices_that_the_database_was_restarted() -> None:
    fetch_one(STATEMENT, {"number": 1})
    terminate(connection.connection.info.backend_pid)
    request_started.send(sender=None, environ={})
    assert fetch_one(STATEMENT, {"number": 1}) == (2,)


def test_a_queryset_is_compiled_once_and_run_with_any_value() -> None:
    acme, _globex = TenantFactory(name="acme"), TenantFactory(name="globex")
    by_name = prepared_query(Tenant.objects.filter(name=PARAMETER).order_by())
    found = by_name("acme")
    assert found == acme
    assert vars(found).keys() == vars(Tenant.objects.get(name="acme")).keys()
    assert by_name("nothing") is None


def test_a_value_may_stand_in_several_places_and_beside_a_percent_sign() -> None:
    acme = TenantFactory(name="acme")
    query = prepared_query(Tenant.objects.named(PARAMETER).extra(where=["name NOT LIKE 'a%%s'"]))
    assert query("acme") == query(acme.id) == acme


def test_a_queryset_with_a_value_of_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="no values but PARAMETER"):
        prepared_query(Tenant.objects.filter(name=PARAMETER, region="us-east-1"))


def test_a_model_with_a_field_that_django_converts_is_refused() -> None:
    with pytest.raises(ValueError, match="Event has a field that Django converts"):
        prepared_query(Event.objects.filter(id=PARAMETER))


def terminate(backend: int) -> None:
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with connect(**{name: parameters[name] for name in names if name in parameters}) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
