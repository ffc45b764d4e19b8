"""Tokens that are genuine and still not enough: bound to a proof, or of a login that is too weak."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from stoa_cp.identity.claims import is_service_account
from tests.answers import refusal_of
from tests.conftest import Caller
from tests.kernel.conftest import restart_process
from tests.kernel.identity.provider import Provider

pytestmark = pytest.mark.django_db

TOO_WEAK = (401, "unauthorized", "", "insufficient_user_authentication")
SERVICE = {"client_id": "ci", "azp": "ci", "clientAddress": "192.0.2.1"}  # as Keycloak writes it


@pytest.fixture
def strong(settings: Settings, provider: Provider) -> Provider:
    settings.STOA_OIDC_REQUIRED_ACR = ["gold", "urn:example:mfa"]
    restart_process()
    return provider


def test_a_bound_token_is_refused_with_its_reason(provider: Provider) -> None:
    response = Caller(provider.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})).get("/v1/me")

    assert refusal_of(response) == (401, "unauthorized", "", "token_invalid")
    assert "bound to" in response.json()["error"]["details"][0]["message"]
    assert response["WWW-Authenticate"] == 'Bearer realm="stoa", error="invalid_token"'


@pytest.mark.parametrize("scheme", ["DPoP", "dpop"])
def test_a_token_with_a_proof_is_refused_whatever_the_proof(provider: Provider, scheme: str) -> None:
    response = Client().get("/v1/me", headers={"Authorization": f"{scheme} {provider.token()}", "DPoP": "a.b.c"})

    assert refusal_of(response) == (401, "unauthorized", "", "token_invalid")
    assert "bound to" in response.json()["error"]["details"][0]["message"]


def test_a_forged_bound_token_is_not_told_apart(provider: Provider) -> None:
    forged = provider.token(cnf={"jkt": "x"})[:-8] + "AAAAAAAA"
    message = Caller(forged).get("/v1/me").json()["error"]["details"][0]["message"]

    assert "bound to" not in message


@pytest.mark.parametrize("acr", ["1", "silver", "", None, ["gold"]])
def test_a_weak_login_is_refused_and_told_what_is_wanted(strong: Provider, acr: object) -> None:
    response = Caller(strong.token(acr=acr)).get("/v1/me")

    assert refusal_of(response) == TOO_WEAK
    assert response["WWW-Authenticate"] == (
        'Bearer realm="stoa", error="insufficient_user_authentication", acr_values="gold urn:example:mfa"'
    )


@pytest.mark.parametrize("acr", ["gold", "urn:example:mfa"])
def test_a_strong_login_passes(strong: Provider, acr: str) -> None:
    assert Caller(strong.token(acr=acr)).get("/v1/me").status_code == 200


@pytest.mark.parametrize(
    "changes", [{"sub": "ci", "client_id": "ci"}, {"sub": None, "azp": "ci"}, SERVICE], ids=["RFC 9068", "bare", "own"]
)
def test_a_service_has_no_login(strong: Provider, changes: dict[str, object]) -> None:
    assert Caller(strong.token(**changes)).get("/v1/me").status_code == 200


def test_a_person_who_is_called_like_a_service_account_is_a_person() -> None:
    assert not is_service_account({"sub": "8a31", "azp": "ci", "preferred_username": "service-account-ci"})
    assert not is_service_account({"sub": "8a31", "azp": "ci", "client_id": "ci"})


def test_no_login_is_too_weak_by_default(provider: Provider) -> None:
    assert Caller(provider.token(acr="0")).get("/v1/me").status_code == 200


def test_the_console_wants_such_a_login_from_the_provider(strong: Provider, settings: Settings) -> None:
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"acr_values": "gold urn:example:mfa"}
    response = Client().get(reverse("oidc_authentication_init"))

    assert "acr_values=gold+urn%3Aexample%3Amfa" in response["Location"]
