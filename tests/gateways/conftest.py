"""The input of configurations; and served APIs behind real proxies: one that a key opens, and one open to all."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apikeys.gateway.exporters.site import Site, describe_site
from apikeys.models import ApiKey
from apikeys.services import NewKey, issue_key
from catalog.gateways import register_gateway
from catalog.models import Api
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory, TenantFactory
from tests.gateways.proxies import FILES, Proxy, Upstream, listen, proxy, upstream

TOKEN = new_credential("stoa_gtw_")


@dataclass(frozen=True, slots=True)
class ServedApis:
    """``payments``, which the key opens, is served below /base of its upstream; all others by ``other_upstream``."""

    payments: Api
    mobile: Subscription
    key: ApiKey
    secret: str
    payments_upstream: Upstream
    other_upstream: Upstream

    @property
    def credential(self) -> str:
        return f"X-API-Key: {self.secret}"

    @property
    def calls(self) -> int:
        return len(self.payments_upstream.calls) + len(self.other_upstream.calls)


@pytest.fixture
def apis(transactional_db: None) -> Iterator[ServedApis]:
    acme = TenantFactory(name="acme")
    with upstream() as payments_upstream, upstream() as other_upstream:
        payments = ApiFactory(
            tenant=acme, name="payments", path="/payments", upstream_url=f"{payments_upstream.url}/base"
        )
        for path in ("/admin", "/payments/admin", "/pay"):
            ApiFactory(tenant=acme, name=path, path=path, upstream_url=f"{other_upstream.url}{path}")
        ApiFactory(tenant=acme, name="open", path="/open", upstream_url=other_upstream.url, auth_required=False)
        mobile = SubscriptionFactory(tenant=acme, api=payments, active=True, application="mobile é")
        key, secret = issue_key(mobile, NewKey(), by=SYSTEM)
        yield ServedApis(payments, mobile, key, secret, payments_upstream, other_upstream)


@pytest.fixture
def edge_token(apis: ServedApis) -> str:
    return register_gateway("edge-1", by=SYSTEM)[1]


@pytest.fixture(params=FILES)
def edge(
    request: Any, apis: ServedApis, edge_token: str, live_server: Any, tmp_path: Path, settings: Any
) -> Iterator[Proxy]:
    """A real proxy in front of the APIs, which queries a real control plane."""
    settings.STOA_URL = live_server.url.replace("localhost", "127.0.0.1")
    site = describe_site(token=edge_token, listen=listen(), is_standalone=True)
    with proxy(request.param, site, tmp_path) as running:
        yield running


@pytest.fixture
def payments(acme: Tenant) -> Api:
    return ApiFactory(
        tenant=acme, name="payments", path="/pay.v1", upstream_url="https://pay.example.com/v2", requests_per_hour=100
    )


@pytest.fixture
def status(acme: Tenant) -> Api:
    """An open API without a base path."""
    return ApiFactory(tenant=acme, name="status", path="/", upstream_url="http://127.0.0.1:9100", auth_required=False)


@pytest.fixture
def mobile(payments: Api, status: Api) -> Subscription:
    return SubscriptionFactory(tenant=payments.tenant, api=payments, application="mobile app", active=True)


@pytest.fixture
def site(mobile: Subscription) -> Site:
    """The input of a configuration, for an API that needs a key and one that does not."""
    return describe_site(token=TOKEN)
