"""A subscribed application, its key, and the gateway that asks about its calls."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apikeys.decisions import cache
from apikeys.models import ApiKey
from apikeys.services.keys import NewKey, issue_key
from catalog.authentication import HEADER
from catalog.models import Api
from catalog.services.gateways import create_gateway
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory


class Edge:
    """A gateway: its queries about calls, and their answers."""

    def __init__(self, token: str) -> None:
        self._client = Client(raise_request_exception=False)
        self._headers = {HEADER: token}

    def authorize(self, uri: str, key: str | None = None, **headers: str) -> Any:
        """Ask as Traefik does about a GET of ``uri``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"X-Forwarded-Uri": uri, "X-Forwarded-Method": "GET"} | ({"X-API-Key": key} if key else {}) | named
        return self.ask("/v1/gateway/authorize", sent)

    def ask(self, path: str, headers: dict[str, str], method: str = "GET", body: bytes = b"") -> Any:
        return self._client.generic(method, path, body, "text/plain", headers=self._headers | headers)

    def verify(self, key: object, **fields: object) -> Any:
        body = json.dumps({"key": key} | fields)
        path = "/v1/gateway/keys/verify"
        return self._client.post(path, body, content_type="application/json", headers=self._headers)


@pytest.fixture
def edge(db: None) -> Edge:
    token = create_gateway("edge-1", by=SYSTEM).secret
    return Edge(token)


@pytest.fixture
def payments(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme, name="payments", path="/payments", upstream_url="https://pay.example.com:8443/base/")


@pytest.fixture
def mobile(payments: Api) -> Subscription:
    return SubscriptionFactory(tenant=payments.tenant, api=payments, application="mobile", active=True)


@pytest.fixture
def keys_never_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no key become idle: on a loaded machine, a test may wait for longer than IDLE_SECONDS."""
    monkeypatch.setattr(cache, "IDLE_SECONDS", 60)


Issue = Callable[..., tuple[ApiKey, str]]


@pytest.fixture
def issue(mobile: Subscription) -> Issue:
    """Issue another key of the subscription: ``issue(mode="test", expires_at=…)``."""

    def make(**fields: object) -> tuple[ApiKey, str]:
        issued = issue_key(mobile, NewKey(**fields), by=SYSTEM)
        return issued.resource, issued.secret

    return make


@pytest.fixture
def key(issue: Issue) -> ApiKey:
    return issue()[0]


@pytest.fixture
def secret(issue: Issue) -> str:
    """What the application sends."""
    return issue()[1]
