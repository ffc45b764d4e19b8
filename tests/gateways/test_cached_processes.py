"""Real proxies before web processes as in production, which let busy keys pass from memory."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from apikeys.gateway.exporters.site import describe_site
from apikeys.models import LeaseState, Meter
from apikeys.services.revocations import revoke_key
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tests.apikeys.processes import Application, web_processes
from tests.gateways.conftest import Deployment
from tests.gateways.proxies import FILES, Proxy, listen, proxy

CALLERS = 4
PAYMENTS = "/acme/payments"


@pytest.fixture(params=FILES)
def edge(request: Any, deployment: Deployment, edge_token: str, tmp_path: Path, settings: Any) -> Iterator[Proxy]:
    with web_processes(Application(workers=2)) as (server,):
        settings.STOA_URL = f"http://127.0.0.1:{server.port}"
        site = describe_site(token=edge_token, listen=listen(), is_standalone=True)
        with proxy(request.param, site, tmp_path) as running:
            yield running


def statuses(edge: Proxy, deployment: Deployment, calls: int) -> Counter[int]:
    """Return how many calls of several callers were answered how."""
    with ThreadPoolExecutor(CALLERS) as pool:
        return Counter(pool.map(lambda _call: edge.call(PAYMENTS, deployment.credential).status, range(calls)))


def test_a_limit_is_exact(edge: Proxy, deployment: Deployment) -> None:
    Subscription.objects.filter(pk=deployment.mobile.pk).update(rate_limit=150)
    assert statuses(edge, deployment, 200) == {200: 150, 429: 50}
    assert len(deployment.paying.calls) == 150
    assert Meter.objects.get().hour_calls == 150


def test_nothing_gets_through_after_a_revocation(edge: Proxy, deployment: Deployment) -> None:
    assert statuses(edge, deployment, 60) == {200: 60}
    assert Meter.objects.get().leases == LeaseState.LEASED
    revoke_key(deployment.key, by=SYSTEM)
    assert statuses(edge, deployment, 20) == {401: 20}
    assert len(deployment.paying.calls) == 60
