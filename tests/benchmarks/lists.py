"""A tenant's list of 20 APIs and one of them, against the obvious DRF: a model serializer, a COUNT, PyJWT."""

from collections.abc import Iterator
from http import HTTPStatus
from statistics import median
from time import time

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from catalog.models import Api
from tenants.models import Tenant
from tests.apikeys.processes import Application, web_processes
from tests.benchmarks.databases import execute
from tests.benchmarks.load import measure
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.conftest import Caller
from tests.factories import ApiFactory, TenantFactory
from tests.kernel.identity.provider import Provider

APIS = 5_000
CALLERS = 8  # as many as the servers have threads
HOUR = 3600
WARM_UP_SECONDS = 0.5
UNLIMITED = 2_000_000_000  # calls an hour: counted, and never reached
GOAL = 3
MAX_STATEMENTS = 2
LIST, DETAIL = f"list of 20 of {APIS:,} APIs", "detail of an API"


def list_rows() -> Iterator[Row]:
    tenant = make_tenant("bench-lists")
    apis = ApiFactory.build_batch(APIS, tenant=tenant)
    Api.objects.bulk_create(apis)
    execute("VACUUM ANALYZE catalog_api")
    path = f"/v1/tenants/{tenant.name}/apis"
    with Provider() as provider, web_processes(ours(provider), naive(provider)) as servers:
        token = token_for(tenant, provider)
        ports = [server.port for server in servers]
        yield _compare(LIST, ports, [get(path, token)] * CALLERS)
        yield _compare(DETAIL, ports, [get(f"{path}/{api.id}", token) for api in apis])
        with override_settings(STOA_OIDC_ISSUER=provider.url):
            yield _count_statements(LIST, path, token)
            yield _count_statements(DETAIL, f"{path}/{apis[0].id}", token)


def _compare(name: str, ports: list[int], requests: list[bytes]) -> Row:
    for port in ports:
        measure(port, requests, seconds=WARM_UP_SECONDS, callers=CALLERS)
    rounds = [
        [measure(port, requests, seconds=SECONDS, callers=CALLERS).per_second for port in ports]
        for _round in range(ROUNDS)
    ]
    ours, naive = (median(one[place] for one in rounds) for place in (0, 1))
    return Row(name, f"{ours:,.0f}/s", f"`ModelSerializer`: {naive:,.0f}/s", ours / naive, GOAL)


def _count_statements(name: str, path: str, token: str) -> Row:
    """Count in this process, not in the first call of an hour; two statements count the call."""
    caller = Caller(token)
    caller.get(path, host="127.0.0.1")
    with CaptureQueriesContext(connection) as captured:
        assert caller.get(path, host="127.0.0.1").status_code == HTTPStatus.OK
    count = len(captured)
    return Row(f"{name}: statements", str(count), f"≤ {MAX_STATEMENTS}", MAX_STATEMENTS / count, goal=1)


def make_tenant(name: str) -> Tenant:
    """Return a tenant whose calls are counted, but never refused."""
    tenant: Tenant = TenantFactory(name=name, tier="enterprise", rate_limit_per_hour=UNLIMITED)
    return tenant


def ours(provider: Provider) -> Application:
    return Application(workers=2, environment={"STOA_OIDC_ISSUER": provider.url})


def naive(provider: Provider) -> Application:
    return Application(
        "tests.benchmarks.naive.wsgi:application",
        "tests.benchmarks.naive.settings",
        workers=2,
        environment={"NAIVE_JWKS_URL": provider.jwks_url},
    )


def token_for(tenant: Tenant, provider: Provider) -> str:
    """Return the token of a tenant's administrator, good for longer than a run."""
    return provider.token(tenant_id=tenant.name, exp=int(time()) + HOUR)


def get(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
