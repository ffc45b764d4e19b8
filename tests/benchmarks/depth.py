"""Page 50,000 of a list by cursor, against the first page and against the second by cursor."""

from collections.abc import Iterator
from statistics import median

from catalog.models import Api
from stoa_cp.rest.pagination import DEFAULT_LIMIT, encode_cursor
from tenants.models import Tenant
from tests.apikeys.processes import web_processes
from tests.benchmarks.databases import execute
from tests.benchmarks.lists import get, make_tenant, ours, token_for
from tests.benchmarks.load import measure
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.kernel.identity.provider import Provider

PAGE = 50_000
APIS = (PAGE + 1) * DEFAULT_LIMIT
AT_MOST = 1.5
INSERT = """
INSERT INTO catalog_api (id, tenant_id, name, description, upstream_url, path, api_version, auth_required,
    openapi_url, status, created_at, updated_at, version)
SELECT 'api-' || left(md5(number::text), 16), '{tenant}', 'api-' || number, '', 'https://upstream.example.com',
    '/api-' || number, 'v1', true, '', 'active', now() - number * interval '1 s', now(), 1
FROM generate_series(1, {count}) number
"""


def depth_rows() -> Iterator[Row]:
    """Measure one caller's time. Page 1 also counts the items, which makes it the easier one to keep up with."""
    tenant = make_tenant("bench-depth")
    execute(INSERT.format(tenant=tenant.id, count=APIS), "VACUUM ANALYZE catalog_api")
    path = f"/v1/tenants/{tenant.name}/apis"
    paths = [path, *(f"{path}?cursor={_cursor_of(tenant, page)}" for page in (2, PAGE))]
    with Provider() as provider, web_processes(ours(provider)) as [server]:
        requests = [get(path, token_for(tenant, provider)) for path in paths]
        for request in requests:
            _milliseconds(server.port, request, seconds=0.5)
        rounds = [
            [_milliseconds(server.port, request, seconds=SECONDS) for request in requests] for _round in range(ROUNDS)
        ]
    first, second, deep = (median(one[place] for one in rounds) for place in range(len(requests)))
    yield _row("page 1", deep, first)
    yield _row("page 2 by cursor", deep, second)


def _row(page: str, deep: float, other: float) -> Row:
    name = f"page {PAGE:,} by cursor, at most {AT_MOST} times as long as {page}"
    return Row(name, f"{deep:.2f} ms", f"{other:.2f} ms", other / deep, goal=1 / AT_MOST)


def _cursor_of(tenant: Tenant, page: int) -> str:
    """Return the cursor that leads to a page."""
    return encode_cursor(Api.objects.filter(tenant=tenant)[(page - 1) * DEFAULT_LIMIT - 1])


def _milliseconds(port: int, request: bytes, *, seconds: float) -> float:
    return 1000 / measure(port, [request], seconds=seconds, callers=1).per_second
