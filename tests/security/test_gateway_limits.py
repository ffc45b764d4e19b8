"""Limits at the gateways' paths: guessed tokens count like anonymous calls, a known gateway's decisions never do."""

from typing import Any

import pytest
from django.test import Client

from catalog.authentication import HEADER
from stoa_cp.crypto.credentials import new_credential
from tenants.models import Tenant
from tests.factories import ApiFactory, GatewayFactory

pytestmark = pytest.mark.django_db

AUTHORIZE, CONFIG = "/v1/gateway/authorize", "/v1/gateway/config"


@pytest.fixture
def token() -> str:
    token = new_credential("stoa_gtw_")
    GatewayFactory(token=token)
    return token


@pytest.mark.parametrize("path", [AUTHORIZE, f"{AUTHORIZE}/nginx", CONFIG])
@pytest.mark.parametrize("guess", ["stoa_gtw_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd000000", "", "guess"])
def test_a_guessed_token_counts_as_an_anonymous_call(path: str, guess: str, settings: Any) -> None:
    settings.STOA_ANONYMOUS_RATE_LIMIT = 2
    answers = [Client().get(path, headers={HEADER: guess}) for _guess in range(4)]

    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert int(answers[-1]["Retry-After"]) > 0
    assert answers[-1].json()["error"]["code"] == "rate_limited"


def test_the_calls_of_a_known_gateway_never_count(acme: Tenant, token: str, settings: Any) -> None:
    settings.STOA_ANONYMOUS_RATE_LIMIT = 2
    api = ApiFactory(tenant=acme)
    headers = {HEADER: token, "X-Forwarded-Uri": f"/acme{api.path}", "X-API-Key": "stoa_live_wrong"}

    assert {Client().get(AUTHORIZE, headers=headers).status_code for _call in range(6)} == {401}


def test_a_gateway_reads_its_configuration_so_often(token: str, settings: Any) -> None:
    settings.STOA_GATEWAY_CONFIG_RATE_LIMIT = 2
    answers = [Client().get(CONFIG, headers={HEADER: token}) for _read in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0
    another = new_credential("stoa_gtw_")
    GatewayFactory(token=another)
    assert Client().get(CONFIG, headers={HEADER: another}).status_code == 200
