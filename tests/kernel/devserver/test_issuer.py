"""The development issuer, over HTTP, as a client of Keycloak uses it."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.http import http_server
from stoa_cp.devserver.issuer import Issuer
from stoa_cp.devserver.realm import KeyPair
from stoa_cp.identity.claims import is_service_account

CLIENT = {"client_id": "control-plane-api", "client_secret": "the-secret"}
CALLBACK = "http://127.0.0.1:8000/oidc/callback/"
VERIFIER = "a-verifier-that-is-long-enough-for-rfc-7636-to-like-it"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CONSOLE = "stoa-console"
LOGIN = {
    "client_id": CONSOLE,
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "state": "the-state",
    "nonce": "the-nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
EXCHANGE = {
    "client_id": CONSOLE,
    "grant_type": "authorization_code",
    "redirect_uri": CALLBACK,
    "code_verifier": VERIFIER,
}


class Client:
    """A client of the issuer under test, whose claim ``iss`` is ``issuer``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.issuer = f"http://127.0.0.1:{port}/realms/stoa"

    def ask(self, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        body = urlencode(form) if form is not None else None
        connection.request("POST" if body is not None else "GET", f"/realms/stoa{path}", body, headers)
        response = connection.getresponse()
        answer = response, response.read()
        connection.close()
        return answer

    def token(self, **form: str) -> tuple[int, dict[str, Any]]:
        response, body = self.ask("/protocol/openid-connect/token", CLIENT | form)
        return response.status, json.loads(body)

    def claims(self, token: str, audience: str = "control-plane-api") -> dict[str, Any]:
        """Verify the token as the control plane does: with the published key, for the published issuer."""
        key = jwt.PyJWKClient(f"{self.issuer}/protocol/openid-connect/certs").get_signing_key_from_jwt(token)
        return jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=self.issuer)

    def log_in(self, **changes: str) -> tuple[HTTPResponse, bytes]:
        form = LOGIN | {"username": "olga", "password": "the-password"} | changes
        return self.ask("/protocol/openid-connect/auth", form)

    def code(self, **changes: str) -> str:
        response, _body = self.log_in(**changes)
        return parse_qs(urlsplit(response.headers["Location"]).query)["code"][0]


@pytest.fixture(scope="module")
def key() -> KeyPair:
    return KeyPair.generate()


@pytest.fixture
def client(key: KeyPair) -> Iterator[Client]:
    grants = Grants("", key, client_secret="the-secret", password="the-password")
    with http_server("127.0.0.1", 0, Issuer(grants).respond) as server:
        client = Client(server.server_port)
        grants.issuer = client.issuer
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield client
        server.shutdown()
        thread.join()


def test_the_metadata_lead_to_every_endpoint(client: Client) -> None:
    _response, body = client.ask("/.well-known/openid-configuration")
    metadata = json.loads(body)
    assert metadata["issuer"] == client.issuer
    protocol = f"{client.issuer}/protocol/openid-connect"
    assert metadata["token_endpoint"] == f"{protocol}/token"
    assert metadata["authorization_endpoint"] == f"{protocol}/auth"
    assert metadata["jwks_uri"] == f"{protocol}/certs"


def test_a_person_signs_in_once(client: Client) -> None:
    silent = f"/protocol/openid-connect/auth?{urlencode(LOGIN | {'prompt': 'none'})}"
    stranger, _body = client.ask(silent)
    assert stranger.headers["Location"] == f"{CALLBACK}?error=login_required&state=the-state"

    cookie = client.log_in()[0].headers["Set-Cookie"].partition(";")[0]
    known, _body = client.ask(silent, Cookie=cookie)
    assert "code=" in known.headers["Location"]

    client.ask("/protocol/openid-connect/logout", Cookie=cookie)
    gone, _body = client.ask(silent, Cookie=cookie)
    assert "error=login_required" in gone.headers["Location"]


def test_the_client_gets_a_platform_token(client: Client) -> None:
    status, answer = client.token(grant_type="client_credentials")
    assert status == 200
    assert answer["token_type"] == "Bearer"
    claims = client.claims(answer["access_token"])
    assert "cpi-admin" in claims["realm_access"]["roles"]
    assert "control-plane-api" in claims["aud"]
    assert claims["azp"] == "control-plane-api"
    assert claims["typ"] == "Bearer"
    assert claims["preferred_username"] == "service-account-control-plane-api"
    assert "tenant_id" not in claims
    assert is_service_account(claims)


@pytest.mark.parametrize(
    ("username", "role", "tenant"),
    [
        ("olga", "cpi-admin", None),
        ("alice", "tenant-admin", "acme"),
        ("dave", "devops", "acme"),
        ("victor", "viewer", "acme"),
        ("bob", "tenant-admin", "globex"),
        ("rita", "stoa-operator-readonly", None),
    ],
)
def test_each_person_has_a_role_and_a_tenant(client: Client, username: str, role: str, tenant: str | None) -> None:
    status, answer = client.token(grant_type="password", username=username, password="the-password")
    assert status == 200
    claims = client.claims(answer["access_token"])
    assert role in claims["realm_access"]["roles"]
    assert claims.get("tenant_id") == tenant


def test_a_subject_is_the_same_in_every_token(client: Client) -> None:
    form = {"grant_type": "password", "username": "alice", "password": "the-password"}
    first, second = (client.claims(client.token(**form)[1]["access_token"]) for _time in range(2))
    assert first["sub"] == second["sub"]
    assert first["jti"] != second["jti"]


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "client_credentials", "client_secret": "guess"}, 401, "unauthorized_client"),
        ({"grant_type": "client_credentials", "client_id": "another"}, 401, "unauthorized_client"),
        ({"grant_type": "password", "username": "alice", "password": "guess"}, 401, "invalid_grant"),
        ({"grant_type": "password", "username": "mallory", "password": "the-password"}, 401, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "guess", "client_id": CONSOLE}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "guess"}, 400, "unauthorized_client"),
        ({"grant_type": "client_credentials", "client_id": CONSOLE}, 400, "unauthorized_client"),
        ({"grant_type": "password", "client_id": CONSOLE}, 400, "unauthorized_client"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({}, 400, "unsupported_grant_type"),
    ],
)
def test_a_refusal_has_the_code_of_the_rfc(client: Client, form: dict[str, str], status: int, error: str) -> None:
    answered, answer = client.token(**form)
    assert (answered, answer["error"]) == (status, error)
    assert "access_token" not in answer


def test_the_client_may_show_its_secret_in_the_basic_way(client: Client) -> None:
    basic = base64.b64encode(b"control-plane-api:the-secret").decode()
    path, form = "/protocol/openid-connect/token", {"grant_type": "client_credentials"}
    assert client.ask(path, form, Authorization=f"Basic {basic}")[0].status == 200
    assert client.ask(path, form, Authorization="Basic ???")[0].status == 401


def test_an_operator_logs_in_with_the_browser(client: Client) -> None:
    form, markup = client.ask(f"/protocol/openid-connect/auth?{urlencode(LOGIN)}")
    assert form.status == 200
    assert b'name="nonce" value="the-nonce"' in markup
    response, _body = client.log_in()
    assert response.status == 302
    assert response.headers["Location"].startswith(CALLBACK)
    query = parse_qs(urlsplit(response.headers["Location"]).query)
    assert query["state"] == ["the-state"]

    status, answer = client.token(**EXCHANGE, code=query["code"][0])
    assert status == 200
    identity = client.claims(answer["id_token"], audience=CONSOLE)
    assert identity["azp"] == CONSOLE
    assert (identity["nonce"], identity["typ"]) == ("the-nonce", "ID")
    assert "realm_access" not in identity
    access = client.claims(answer["access_token"])
    assert access["sub"] == identity["sub"]
    assert "cpi-admin" in access["realm_access"]["roles"]


@pytest.mark.parametrize("wrong", [{"code_verifier": "another"}, {"redirect_uri": "http://127.0.0.1/else"}])
def test_a_code_serves_its_own_client_only(client: Client, wrong: dict[str, str]) -> None:
    assert client.token(**EXCHANGE | {"code": client.code()} | wrong)[0] == 400


def test_a_code_serves_once(client: Client) -> None:
    form = EXCHANGE | {"code": client.code()}
    assert [client.token(**form)[0] for _time in range(2)] == [200, 400]


def test_a_wrong_password_shows_the_form_again(client: Client) -> None:
    response, markup = client.log_in(password="guess")
    assert response.status == 401
    assert b"Invalid username or password" in markup


def test_no_code_leaves_this_machine(client: Client) -> None:
    response, _body = client.log_in(redirect_uri="https://evil.example/callback")
    assert response.status == 400
    assert "Location" not in response.headers


def test_the_form_escapes_what_it_repeats(client: Client) -> None:
    _response, markup = client.log_in(password="guess", state='"><script>alert(1)</script>')
    assert b"<script>" not in markup


def test_userinfo_tells_who_but_no_role(client: Client) -> None:
    token = client.token(grant_type="password", username="alice", password="the-password")[1]["access_token"]
    response, body = client.ask("/protocol/openid-connect/userinfo", Authorization=f"Bearer {token}")
    assert response.status == 200
    assert json.loads(body)["preferred_username"] == "alice"
    assert b"realm_access" not in body
    assert client.ask("/protocol/openid-connect/userinfo", Authorization="Bearer guess")[0].status == 401


def test_logging_out_returns_to_this_machine_only(client: Client) -> None:
    path = "/protocol/openid-connect/logout?post_logout_redirect_uri="
    assert client.ask(f"{path}http://127.0.0.1:8000/admin/")[0].headers["Location"] == "http://127.0.0.1:8000/admin/"
    assert client.ask(f"{path}https://evil.example/")[0].status == 200


def test_an_unknown_path_is_404(client: Client) -> None:
    assert client.ask("/nothing/here")[0].status == 404


def test_the_key_survives_a_restart_and_is_nobody_elses(tmp_path: Path) -> None:
    first = KeyPair.load_or_create(tmp_path / "key.pem")
    assert KeyPair.load_or_create(tmp_path / "key.pem").kid == first.kid
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("environment", ["production", "prod"])
def test_it_refuses_to_run_in_production(environment: str) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "stoa_cp.devserver"],
        env=os.environ | {"STOA_ENV": environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert started.returncode == 1
    assert "never runs in production" in started.stderr
