"""Who may read /metrics: by default only a gateway's token and the platform."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from catalog.services.gateways import create_gateway
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, refusal_of
from tests.conftest import Caller

pytestmark = pytest.mark.django_db

TOKEN = "a-token-for-prometheus-of-32-characters"
NETWORK = ["192.0.2.0/24", "2001:db8::/32"]


def status_of(address: str = "192.0.2.7", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(REMOTE_ADDR=address).get("/metrics", headers=named).status_code


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7"])
def test_no_address_is_enough_by_default(address: str) -> None:
    response = Client(REMOTE_ADDR=address).get("/metrics")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="stoa"'


def test_addresses_that_are_allowed_need_no_token(settings: Settings) -> None:
    settings.STOA_METRICS_ALLOW = NETWORK

    assert status_of("192.0.2.7") == 200
    assert status_of("2001:db8::7") == 200
    assert status_of("::ffff:192.0.2.7") == 200
    assert status_of("192.0.3.7") == 401
    assert status_of("127.0.0.1") == 401


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded"])
def test_a_proxy_that_is_not_trusted_is_not_the_caller(settings: Settings, header: str) -> None:
    settings.STOA_METRICS_ALLOW = NETWORK

    assert status_of("192.0.2.7", **{header: "192.0.2.8"}) == 401


def test_behind_a_trusted_proxy_the_clients_address_counts(settings: Settings) -> None:
    settings.STOA_METRICS_ALLOW, settings.STOA_TRUSTED_PROXIES = NETWORK, ["192.0.2.1/32"]

    assert status_of("192.0.2.1", X_Forwarded_For="192.0.2.8") == 200
    assert status_of("192.0.2.1", X_Forwarded_For="192.0.2.8, 203.0.113.9") == 401
    assert status_of("192.0.2.1", X_Forwarded_For="nonsense") == 401


def test_a_gateways_token_opens_it_in_its_header_and_as_a_bearer_token() -> None:
    token = create_gateway("edge-1", by=SYSTEM).secret
    unknown = new_credential("stoa_gtw_")

    assert status_of(X_Stoa_Gateway_Token=token) == 200
    assert status_of(Authorization=f"Bearer {token}") == 200
    assert status_of(X_Stoa_Gateway_Token=unknown) == 401
    assert status_of(Authorization=f"Bearer {unknown}") == 401
    assert status_of(Authorization=f"Basic {token}") == 401


def test_the_scrapers_own_token_opens_it(settings: Settings) -> None:
    assert status_of(Authorization="Bearer ") == 401  # no token is set: an empty one is not it
    settings.STOA_METRICS_TOKEN = [TOKEN]

    assert status_of(Authorization=f"Bearer {TOKEN}") == 200
    assert status_of(Authorization=f"Bearer {TOKEN}x") == 401
    assert status_of(X_Stoa_Gateway_Token=TOKEN) == 401
    assert status_of(Authorization="Bearer é") == 401


def test_the_platform_may_and_a_tenants_administrator_may_not(alice: Caller, olga: Caller, acme: Tenant) -> None:
    def get(caller: Caller) -> Any:
        return caller.get("/metrics")

    assert get(olga).status_code == 200
    assert refusal_of(get(alice)) == MISSING_ROLE


def test_a_scraper_inside_the_cluster_is_not_sent_to_https(settings: Settings) -> None:
    settings.STOA_METRICS_TOKEN, settings.SECURE_SSL_REDIRECT = [TOKEN], True

    assert Client().get("/guide/").status_code == 301
    assert status_of(Authorization=f"Bearer {TOKEN}") == 200
