"""What the Keycloak realm that the product ships must never have."""

import json
from typing import Any

import pytest
from django.conf import settings

from stoa_cp.devserver.realm import PEOPLE_FILE

REALM: dict[str, Any] = json.loads((settings.BASE_DIR / "stoa_cp" / "keycloak" / "stoa-realm.json").read_text())
CLIENTS: dict[str, dict[str, Any]] = {client["clientId"]: client for client in REALM["clients"]}


def test_it_has_no_people() -> None:
    assert [user["username"] for user in REALM["users"]] == ["service-account-control-plane-api"]
    assert "credentials" not in REALM["users"][0]


def test_it_has_one_client_for_each_purpose() -> None:
    kinds = {
        name: (client["publicClient"], client["standardFlowEnabled"], client["serviceAccountsEnabled"])
        for name, client in CLIENTS.items()
    }
    assert kinds == {
        "control-plane-api": (False, False, True),
        "stoa-console": (False, True, False),
        "stoa-docs": (True, True, False),
    }
    assert settings.OIDC_RP_CLIENT_ID == "stoa-console"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_may_do_nothing_that_it_does_not_need(name: str) -> None:
    client = CLIENTS[name]

    assert not client["implicitFlowEnabled"]
    assert not client["directAccessGrantsEnabled"]
    assert not client["fullScopeAllowed"]
    assert all("*" not in uri and uri.startswith("${STOA_URL}/") for uri in client["redirectUris"])
    assert bool(client["redirectUris"]) == client["standardFlowEnabled"]
    assert set(client["webOrigins"]) <= {"${STOA_URL}"}
    if client["standardFlowEnabled"]:
        assert client["attributes"]["pkce.code.challenge.method"] == "S256"


def test_secrets_come_from_keycloaks_environment() -> None:
    secrets = [client["secret"] for client in CLIENTS.values() if "secret" in client]

    assert secrets == ["${STOA_CLIENT_SECRET}", "${STOA_CONSOLE_CLIENT_SECRET}"]
    assert len(secrets) == sum(not client["publicClient"] for client in CLIENTS.values())
    people = json.loads(PEOPLE_FILE.read_text())["users"]
    assert {person["credentials"][0]["value"] for person in people} == {"${STOA_USER_PASSWORD}"}


def test_passwords_cannot_be_guessed_and_tokens_end_soon() -> None:
    assert REALM["bruteForceProtected"]
    assert not REALM["registrationAllowed"]
    assert REALM["sslRequired"] in {"external", "all"}
    assert REALM["accessTokenLifespan"] <= 300
