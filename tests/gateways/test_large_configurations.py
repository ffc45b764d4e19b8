"""Configurations of many rows: read in portions, written with flat memory, and of what the format needs only."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
import yaml
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apikeys.gateway.configuration import Access, read_routes
from apikeys.gateway.document import stream_document
from apikeys.gateway.exporters import FORMATS, stream_configuration
from apikeys.gateway.exporters.site import describe_site
from apikeys.gateway.long_poll import Configuration, write_configuration
from apikeys.models import ApiKey
from catalog.models import Api
from stoa_cp.db import portions
from stoa_cp.rest.spooling import Spooled
from tests.factories import ApiFactory, ApiKeyFactory, SubscriptionFactory, TenantFactory
from tests.gateways.control_plane import route_to
from tests.gateways.files import exported

pytestmark = pytest.mark.django_db

NEEDS_ROUTES = {"traefik", "envoy", "haproxy", "apisix", "kong"}
# More keys of the same subscription.
COPIES = """
INSERT INTO apikeys_apikey (id, tenant_id, subscription_id, name, mode, start, created_at, updated_at, version)
SELECT 'key-' || lpad(number::text, 16, '0'), tenant_id, subscription_id, name, mode, start, now(), now(), 1
FROM apikeys_apikey, generate_series(1, %(copies)s) AS number WHERE id = %(key)s;
INSERT INTO apikeys_keysecret (key_id, digest, created_at)
SELECT id, sha256(id::bytea), now() FROM apikeys_apikey WHERE id <> %(key)s
"""


@pytest.mark.parametrize("program", FORMATS)
def test_a_format_reads_what_it_needs_and_reads_it_once(program: str) -> None:
    ApiKeyFactory()
    with CaptureQueriesContext(connection) as queries:
        exported(program, describe_site())
    tables = [query["sql"].partition(' FROM "')[2].partition('"')[0] for query in queries]
    assert tables.count("catalog_api") == (program in NEEDS_ROUTES)
    assert tables.count("subscriptions_subscription") == (program == "kong")
    assert "apikeys_apikey" not in tables


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "PORTION", 2)


@pytest.mark.usefixtures("small_portions")
def test_no_row_is_lost_between_two_portions() -> None:
    keys = [
        ApiKeyFactory(subscription=subscription) for subscription in SubscriptionFactory.create_batch(5, active=True)
    ]
    ApiKeyFactory(subscription=keys[0].subscription)

    document = json.loads("".join(stream_document()))

    assert sorted(key["id"] for key in document["keys"]) == sorted(ApiKey.objects.values_list("id", flat=True))
    assert sorted(each["id"] for each in document["subscriptions"]) == sorted(key.subscription_id for key in keys)
    assert sorted(route["api_id"] for route in document["routes"]) == sorted(Api.objects.values_list("id", flat=True))


@pytest.mark.usefixtures("small_portions")
def test_a_bound_gateway_gets_its_tenants_rows_in_portions_too() -> None:
    own = TenantFactory()
    keys = [ApiKeyFactory(subscription=SubscriptionFactory(tenant=own, active=True)) for _each in range(3)]
    ApiKeyFactory()
    document = json.loads("".join(stream_document([own.id])))
    assert {key["id"] for key in document["keys"]} == {key.id for key in keys}
    assert {route["tenant_id"] for route in document["routes"]} == {own.id}


@pytest.mark.usefixtures("small_portions")
def test_the_longest_path_of_a_tenant_comes_first_over_portions() -> None:
    for tenant in TenantFactory.create_batch(2):
        for path in ("/", "/a", "/a/b", "/c", "/a/b/c"):
            ApiFactory(tenant=tenant, path=path)
    paths: dict[str, list[int]] = {}
    for route in read_routes():
        paths.setdefault(route.tenant_id, []).append(len(route.path))
    assert len(paths) == 2
    assert all(lengths == sorted(lengths, reverse=True) for lengths in paths.values())


@pytest.mark.usefixtures("small_portions")
@pytest.mark.parametrize("program", ["traefik", "envoy", "apisix", "kong", "haproxy"])
def test_a_file_has_all_apis_whatever_the_portions(program: str) -> None:
    keys = ApiKeyFactory.create_batch(5)
    whole = exported(program, describe_site())
    assert all(whole.count(key.subscription.api_id) >= 1 for key in keys)
    if program != "haproxy":
        assert yaml.safe_load(whole)


@pytest.mark.parametrize("program", ["apisix", "kong"])
def test_a_section_without_entries_is_empty_and_not_null(program: str) -> None:
    document = yaml.safe_load(exported(program, describe_site()))
    assert [value for value in document.values() if isinstance(value, list)]
    assert None not in document.values()


def peak_of(write: Callable[[], Configuration]) -> tuple[int, int]:
    """Return the size of what is written, and the memory that it took meanwhile, in bytes."""
    with content_of(write()).file:  # imports, templates and type adapters stay
        pass
    tracemalloc.start()
    configuration = write()
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    content = content_of(configuration)
    with content.file:
        return content.size, peak


def content_of(configuration: Configuration) -> Spooled:
    assert configuration.content
    return configuration.content


@pytest.mark.parametrize("program", sorted(NEEDS_ROUTES))
def test_a_file_takes_the_memory_of_a_portion(program: str) -> None:
    """Written in one portion, the sections of these took 12 MB (Envoy) to 19 MB (APISIX)."""

    def write() -> Configuration:
        routes = (route_to("https://up.example.com", f"/acme/{number}") for number in range(600))
        accesses = (
            Access(f"sub-{number}", "ten-1", "api-1", "app", "plan", 1, 1, None, is_open=True) for number in range(600)
        )
        return write_configuration(
            stream_configuration(program, replace(describe_site(), routes=routes, subscriptions=accesses))
        )

    size, peak = peak_of(write)
    assert size > 100_000
    assert peak < 5_000_000


def test_the_document_takes_the_memory_of_a_portion() -> None:
    key = ApiKeyFactory()
    with connection.cursor() as cursor:
        cursor.execute(COPIES, {"copies": 6_000, "key": key.id})

    size, peak = peak_of(lambda: write_configuration(stream_document()))

    assert size > 6_000 * 200
    assert peak < 8_000_000
