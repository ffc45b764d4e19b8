"""Rows and sites for gateway configurations, and a deployment whose APIs real proxies serve."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apikeys.gateway.exporters.site import Site, describe_site
from apikeys.models import ApiKey
from apikeys.services.keys import NewKey, issue_key
from catalog.models import Api
from catalog.services.gateways import create_gateway
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory, TenantFactory
from tests.gateways.proxies import FILES, Proxy, Upstream, listen, proxy, upstream

TOKEN = new_credential("stoa_gtw_")


@dataclass(frozen=True, slots=True)
class Deployment:
    """``payments``, which the key opens, is served below /base by ``paying``; all other APIs by ``others``."""

    payments: Api
    mobile: Subscription
    key: ApiKey
    secret: str
    paying: Upstream
    others: Upstream

    @property
    def credential(self) -> str:
        return f"X-API-Key: {self.secret}"

    @property
    def calls(self) -> int:
        return len(self.paying.calls) + len(self.others.calls)


@pytest.fixture
def deployment(transactional_db: None) -> Iterator[Deployment]:
    acme = TenantFactory(name="acme")
    with upstream() as paying, upstream() as others:
        payments = ApiFactory(tenant=acme, name="payments", path="/payments", upstream_url=f"{paying.url}/base")
        for path in ("/admin", "/payments/admin", "/pay"):
            ApiFactory(tenant=acme, name=path, path=path, upstream_url=f"{others.url}{path}")
        ApiFactory(tenant=acme, name="open", path="/open", upstream_url=others.url, auth_required=False)
        mobile = SubscriptionFactory(tenant=acme, api=payments, active=True, application="mobile é")
        issued = issue_key(mobile, NewKey(), by=SYSTEM)
        key, secret = issued.resource, issued.secret
        yield Deployment(payments, mobile, key, secret, paying, others)


@pytest.fixture
def edge_token(deployment: Deployment) -> str:
    return create_gateway("edge-1", by=SYSTEM).secret


@pytest.fixture(params=FILES)
def edge(
    request: Any, deployment: Deployment, edge_token: str, live_server: Any, tmp_path: Path, settings: Any
) -> Iterator[Proxy]:
    """A real proxy in front of the deployment, which asks a real control plane."""
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
    """What a configuration is made of, for an API that asks for a key and one that does not."""
    return describe_site(token=TOKEN)
