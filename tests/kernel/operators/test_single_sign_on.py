"""How an operator gets into the admin with the identity provider's word, and who does not."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from stoa_cp.domain.actors import Actor
from stoa_cp.identity.tokens import TokenInvalid
from stoa_cp.operators import single_sign_on
from stoa_cp.operators.accounts import username_of
from tests.kernel.identity.provider import Provider, rsa_key, sign

pytestmark = pytest.mark.django_db

CLIENT = "control-plane-admin"
OLGA = "8a31-olga"


@pytest.fixture(autouse=True)
def _client_of_the_provider(settings: Settings, provider: Provider) -> None:
    settings.OIDC_RP_CLIENT_ID = CLIENT
    settings.OIDC_RP_CLIENT_SECRET = "client-secret"


def begin(client: Client) -> dict[str, str]:
    """Start the flow as a browser does; return what it would take to the provider."""
    response = client.get(reverse("oidc_authentication_init"), {"next": "/admin/"})
    assert response.status_code == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(response["Location"]).query).items()}


def finish(client: Client, provider: Provider, asked: dict[str, str], **tokens: str) -> Any:
    """Come back from the provider, which has ``tokens`` ready for the code."""
    provider.tokens_by_code["the-code"] = {"token_type": "Bearer"} | tokens
    return client.get(reverse("oidc_authentication_callback"), {"code": "the-code", "state": asked["state"]})


def id_token(provider: Provider, asked: dict[str, str], **changes: object) -> str:
    usual = {
        "typ": "ID",
        "aud": CLIENT,
        "azp": CLIENT,
        "sub": OLGA,
        "nonce": asked["nonce"],
        "realm_access": None,
        "email": "olga@example.com",
        "given_name": "Olga",
        "family_name": "Operator",
    }
    return provider.token(**(usual | changes))


def access_token(provider: Provider, *roles: str, **changes: object) -> str:
    return provider.token(**({"sub": OLGA, "azp": CLIENT, "realm_access": {"roles": list(roles)}} | changes))


def log_in(client: Client, provider: Provider, *roles: str) -> Any:
    asked = begin(client)
    return finish(
        client,
        provider,
        asked,
        id_token=id_token(provider, asked),
        access_token=access_token(provider, *roles),
    )


def is_logged_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def refusal(response: Any) -> str:
    """The sentence that the login page will show."""
    assert response.status_code == 302
    assert response["Location"].partition("?")[0] == "/admin/login/"
    return "".join(str(message) for message in get_messages(response.wsgi_request))


def test_the_browser_is_sent_to_the_discovered_address_with_nonce_and_pkce(client: Client, provider: Provider) -> None:
    response = client.get(reverse("oidc_authentication_init"))
    assert response["Location"].startswith(f"{provider.url}/auth?")
    asked = parse_qs(urlsplit(response["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()


def test_a_platform_administrator_becomes_a_superuser(client: Client, provider: Provider) -> None:
    response = log_in(client, provider, "cpi-admin")
    assert response["Location"] == "/admin/"
    assert is_logged_in(client)
    olga = User.objects.get()
    assert (olga.username, olga.email, olga.first_name) == (f"oidc-{OLGA}", "olga@example.com", "Olga")
    assert olga.is_staff
    assert olga.is_superuser
    assert not olga.has_usable_password()
    assert client.get("/admin/").status_code == 200


def test_the_code_is_exchanged_with_its_verifier(client: Client, provider: Provider) -> None:
    log_in(client, provider, "cpi-admin")
    [exchange] = provider.exchanges
    assert exchange["grant_type"] == "authorization_code"
    assert exchange["client_secret"] == "client-secret"
    assert len(exchange["code_verifier"]) >= 43


def test_a_login_that_is_too_weak_opens_nothing(client: Client, provider: Provider, settings: Settings) -> None:
    settings.STOA_OIDC_REQUIRED_ACR = ["gold"]
    assert "stronger login" in refusal(log_in(client, provider, "cpi-admin"))
    assert not is_logged_in(client)
    assert not User.objects.exists()


def test_the_second_login_finds_the_same_user(client: Client, provider: Provider) -> None:
    log_in(client, provider, "cpi-admin")
    log_in(Client(), provider, "stoa.admin")
    assert User.objects.count() == 1


def test_users_are_known_by_subject_and_not_by_address(client: Client, provider: Provider) -> None:
    User.objects.create_superuser("root", email="olga@example.com", password="x")
    log_in(client, provider, "cpi-admin")
    assert User.objects.get(pk=client.session["_auth_user_id"]).username == f"oidc-{OLGA}"


@pytest.mark.parametrize("roles", [(), ("tenant-admin",), ("devops", "viewer"), ("admin",)])
def test_without_the_role_nobody_gets_in_and_no_user_is_made(
    client: Client, provider: Provider, roles: tuple[str, ...]
) -> None:
    assert "cpi-admin" in refusal(log_in(client, provider, *roles))
    assert "cpi-admin" in client.get("/admin/login/").content.decode()
    assert not is_logged_in(client)
    assert not User.objects.exists()


def test_roles_of_the_id_token_count_for_nothing(client: Client, provider: Provider) -> None:
    asked = begin(client)
    grand = id_token(provider, asked, realm_access={"roles": ["cpi-admin"]})
    refusal(finish(client, provider, asked, id_token=grand, access_token=access_token(provider)))
    assert not is_logged_in(client)


def test_losing_the_role_takes_the_rights_at_the_next_login(client: Client, provider: Provider) -> None:
    log_in(client, provider, "cpi-admin")
    log_in(Client(), provider, "viewer")
    olga = User.objects.get()
    assert not olga.is_staff
    assert not olga.is_superuser
    assert client.get("/admin/").status_code == 302  # also in the session that was open


def test_a_user_switched_off_here_stays_outside(client: Client, provider: Provider) -> None:
    log_in(Client(), provider, "cpi-admin")
    User.objects.update(is_active=False)
    refusal(log_in(client, provider, "cpi-admin"))
    assert not is_logged_in(client)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"nonce": "another"}, id="another nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"aud": "another-client"}, id="another client's"),
        pytest.param({"aud": [CLIENT, "other"], "azp": "other"}, id="another authorised party"),
        pytest.param({"exp": int(time.time()) - 60}, id="expired"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"typ": "Bearer"}, id="an access token"),
        pytest.param({"sub": None}, id="nobody"),
        pytest.param({"sub": "somebody-else"}, id="another subject than the access token's"),
    ],
)
def test_an_id_token_of_anything_else_is_refused(
    client: Client, provider: Provider, changes: dict[str, object]
) -> None:
    asked = begin(client)
    wrong = id_token(provider, asked, **changes)
    tokens = {"id_token": wrong, "access_token": access_token(provider, "cpi-admin")}
    assert refusal(finish(client, provider, asked, **tokens))
    assert not is_logged_in(client)


def test_a_forged_id_token_is_refused(client: Client, provider: Provider) -> None:
    asked = begin(client)
    claims = provider.claims(typ="ID", aud=CLIENT, azp=CLIENT, sub=OLGA, nonce=asked["nonce"])
    forged = sign(claims, rsa_key("attacker"), kid="first")
    tokens = {"id_token": forged, "access_token": access_token(provider, "cpi-admin")}
    assert refusal(finish(client, provider, asked, **tokens))
    assert not is_logged_in(client)


def test_a_forged_access_token_gives_no_rights(client: Client, provider: Provider) -> None:
    asked = begin(client)
    claims = provider.claims(sub=OLGA, realm_access={"roles": ["cpi-admin"]})
    forged = sign(claims, rsa_key("attacker"), kid="first")
    refusal(finish(client, provider, asked, id_token=id_token(provider, asked), access_token=forged))
    assert not is_logged_in(client)


def test_tokens_that_do_not_come_are_a_refusal(client: Client, provider: Provider) -> None:
    asked = begin(client)
    assert refusal(finish(client, provider, asked))
    asked = begin(client)
    assert refusal(client.get(reverse("oidc_authentication_callback"), {"code": "spent", "state": asked["state"]}))


def test_a_provider_that_is_away_is_named_on_the_login_page(client: Client, provider: Provider) -> None:
    provider.stop()
    assert "identity provider" in refusal(client.get(reverse("oidc_authentication_init")))
    provider.start_again()


@pytest.mark.deadline
def test_a_provider_that_hangs_is_given_up(client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_sign_on, "PROVIDER_SECONDS", 0.3)
    asked = begin(client)
    provider.mood = "silent"
    start = time.monotonic()
    assert "identity provider" in refusal(finish(client, provider, asked))
    assert time.monotonic() - start < 10  # it would hang until the end of the test


def test_a_password_login_does_not_speak_to_the_provider(client: Client, provider: Provider) -> None:
    User.objects.create_superuser("root", password="root-password")
    query = "?code=the-code&state=any"
    for password in ("mistyped", "root-password"):
        client.post(f"/admin/login/{query}", {"username": "root", "password": password})
    assert is_logged_in(client)
    assert not provider.exchanges


def test_a_configured_address_is_not_asked_for(client: Client, provider: Provider, settings: Settings) -> None:
    settings.OIDC_OP_AUTHORIZATION_ENDPOINT = "https://id.example/auth"
    provider.stop()
    assert client.get(reverse("oidc_authentication_init"))["Location"].startswith("https://id.example/auth?")
    provider.start_again()


def test_different_subjects_never_share_a_username() -> None:
    subjects = ["auth0|1", "auth0+7C1", "auth0%7C1", "auth0~1", "auth0+7E1", "auth0 1", "auth0é1"]
    names = [username_of(Actor(subject)) for subject in subjects]
    assert len(set(names)) == len(subjects)
    for name in names:
        User._meta.get_field("username").clean(name, None)


def test_a_subject_too_long_for_a_username_is_refused() -> None:
    with pytest.raises(TokenInvalid):
        username_of(Actor("a" * 146))
