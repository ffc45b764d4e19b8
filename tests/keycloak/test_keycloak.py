"""A real Keycloak with the realm file that this project ships; `make test-keycloak` fetches one and runs this."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError
from urllib.parse import parse_qs, urlencode
from urllib.request import urlopen

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from stoa_cp.devserver.cluster import free_port
from stoa_cp.identity.claims import is_service_account, tenants_of
from stoa_cp.identity.tokens import read_token
from stoa_cp.operators.session_store import PROVIDER_SESSION
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, NOT_FOUND, refusal_of
from tests.conftest import Caller, signed_in
from tests.kernel.conftest import restart_process
from tests.waiting import wait_until

HOME = os.environ.get("STOA_KEYCLOAK_HOME", "")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not HOME, reason="needs a Keycloak: make test-keycloak"),
]

FOLDER = django_settings.BASE_DIR / "stoa_cp" / "keycloak"
CLIENT_SECRET, CONSOLE_SECRET, PASSWORD = "client-secret", "console-secret", "password"
CONSOLE = {"client_id": "stoa-console", "client_secret": CONSOLE_SECRET}
READY_SECONDS = 300.0  # its first start compiles itself


class ConsoleStandIn(ThreadingHTTPServer):
    """Keeps the logout tokens that it receives; the test hands them to the console."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.tokens: list[str] = []


class KeepToken(BaseHTTPRequestHandler):
    server: ConsoleStandIn

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.tokens += form["logout_token"]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def console() -> Iterator[ConsoleStandIn]:
    """Where Keycloak sends its logout tokens: before the realm is imported, the address must be known."""
    server = ConsoleStandIn(("127.0.0.1", 0), KeepToken)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def served(console: ConsoleStandIn) -> Iterator[str]:
    """The issuer of a Keycloak that has imported the realm."""
    port = free_port(0)
    imported = Path(HOME) / "data" / "import"
    shutil.rmtree(imported, ignore_errors=True)
    imported.mkdir(parents=True)
    realm = json.loads((FOLDER / "stoa-realm.json").read_text())
    for client in realm["clients"]:  # people's tokens without a browser: in this test only
        client["directAccessGrantsEnabled"] = True
        if client["clientId"] == "stoa-console":
            client["attributes"]["backchannel.logout.url"] = f"http://127.0.0.1:{console.server_port}"
    add_gateway(realm)
    (imported / "stoa-realm.json").write_text(json.dumps(realm))
    shutil.copy(FOLDER / "stoa-users-0.json", imported)
    chosen = {
        "STOA_CLIENT_SECRET": CLIENT_SECRET,
        "STOA_CONSOLE_CLIENT_SECRET": CONSOLE_SECRET,
        "STOA_USER_PASSWORD": PASSWORD,
        "STOA_URL": "http://127.0.0.1:8000",
    }
    command = ["sh", f"{HOME}/bin/kc.sh", "start-dev", "--import-realm", "--db=dev-mem"]
    command += ["--http-host=127.0.0.1", f"--http-port={port}"]
    issuer = f"http://127.0.0.1:{port}/realms/stoa"
    with subprocess.Popen(command, env=os.environ | chosen, start_new_session=True) as process:
        try:
            wait_for(f"{issuer}/.well-known/openid-configuration", process)
            yield issuer
        finally:
            os.killpg(process.pid, 15)


def add_gateway(realm: dict[str, Any]) -> None:
    """Add a gateway's client, as the guide describes it."""
    service = next(client for client in realm["clients"] if client["clientId"] == "control-plane-api")
    realm["clients"].append(service | {"clientId": "edge"})
    realm["scopeMappings"].append({"client": "edge", "roles": ["stoa-gateway"]})
    realm["users"].append(
        {
            "username": "service-account-edge",
            "enabled": True,
            "serviceAccountClientId": "edge",
            "realmRoles": ["stoa-gateway"],
        }
    )


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, "Keycloak ended"
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - our own loopback address
                return True
        except URLError:
            return False

    wait_until(answers, "Keycloak is ready", seconds=READY_SECONDS)


@pytest.fixture
def issuer(served: str, settings: Settings) -> Iterator[str]:
    settings.STOA_OIDC_ISSUER, settings.STOA_OIDC_JWKS_URL = served, ""
    settings.STOA_OIDC_ALLOWED_AZP = []  # the audience mapper alone has to do
    restart_process()
    yield served
    restart_process()


def answer_of(issuer: str, **form: str) -> dict[str, str]:
    form = {"client_id": "control-plane-api", "client_secret": CLIENT_SECRET} | form
    with urlopen(f"{issuer}/protocol/openid-connect/token", urlencode(form).encode(), timeout=10) as response:  # noqa: S310 - our own loopback address
        answer: dict[str, str] = json.load(response)
    return answer


def log_in(issuer: str, name: str, **client: str) -> dict[str, str]:
    client = client or {"client_id": "stoa-docs"}
    return answer_of(issuer, grant_type="password", username=name, password=PASSWORD, scope="openid", **client)


def test_the_specifications_own_request_gives_a_token_that_works(issuer: str, acme: Tenant) -> None:
    caller = Caller(answer_of(issuer, grant_type="client_credentials")["access_token"])

    assert caller.get("/v1/me").json()["roles"] == ["cpi-admin"]
    assert caller.get("/v1/tenants/acme").status_code == 200


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("olga", "cpi-admin"),
        ("alice", "tenant-admin"),
        ("dave", "devops"),
        ("victor", "viewer"),
    ],
)
def test_there_is_somebody_for_every_role(issuer: str, acme: Tenant, name: str, role: str) -> None:
    token = log_in(issuer, name)["access_token"]

    assert Caller(token).get("/v1/me").json()["roles"] == [role]
    assert tenants_of(read_token(token)[0]) == (() if name == "olga" else ("acme",))


def test_a_tenants_people_stay_in_it(issuer: str, acme: Tenant, globex: Tenant) -> None:
    victor = Caller(log_in(issuer, "victor")["access_token"])

    assert victor.get("/v1/tenants/acme").status_code == 200
    assert refusal_of(victor.get("/v1/tenants/globex")) == NOT_FOUND
    assert refusal_of(victor.delete("/v1/tenants/acme")) == MISSING_ROLE


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_keycloaks_other_tokens_open_nothing(issuer: str, kind: str) -> None:
    response = Caller(log_in(issuer, "olga")[kind]).get("/v1/me")

    assert refusal_of(response) == (401, "unauthorized", "", "token_invalid")


def test_a_gateway_is_a_client_of_its_own(issuer: str) -> None:
    token = answer_of(issuer, grant_type="client_credentials", client_id="edge")["access_token"]

    assert Caller(token).get("/v1/me").json()["roles"] == ["stoa-gateway"]


def test_a_service_account_is_told_from_a_person(issuer: str) -> None:
    service, _key = read_token(answer_of(issuer, grant_type="client_credentials")["access_token"])
    person, _key = read_token(log_in(issuer, "olga")["access_token"])

    assert is_service_account(service), sorted(service)
    assert not is_service_account(person)


def test_the_console_gets_the_roles_of_operators_only(issuer: str) -> None:
    def roles(name: str) -> set[str]:
        claims, _key = read_token(log_in(issuer, name, **CONSOLE)["access_token"])
        return set(claims.get("realm_access", {}).get("roles", []))

    assert roles("olga") == {"cpi-admin"}
    assert roles("alice") == set()


def test_a_logout_at_keycloak_ends_the_session_in_the_console(issuer: str, console: ConsoleStandIn) -> None:
    tokens = log_in(issuer, "olga", **CONSOLE)
    browser = signed_in(User.objects.create_superuser("olga"))
    session = browser.session
    session[PROVIDER_SESSION] = read_token(tokens["id_token"])[0]["sid"]
    session.save()
    assert browser.get("/admin/").status_code == 200

    form = CONSOLE | {"refresh_token": tokens["refresh_token"]}
    with urlopen(f"{issuer}/protocol/openid-connect/logout", urlencode(form).encode(), timeout=10):  # noqa: S310 - our own loopback address
        wait_until(lambda: bool(console.tokens), "Keycloak sends its logout token", seconds=10)

    response = Client().post("/admin/oidc/backchannel-logout", {"logout_token": console.tokens[-1]})
    assert response.status_code == 200
    assert browser.get("/admin/").status_code == 302
