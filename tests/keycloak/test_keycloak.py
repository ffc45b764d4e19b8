"""A real Keycloak with the realm file that this project ships; `make test-keycloak` fetches one and runs this."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from stoa_cp.devserver.cluster import free_port
from stoa_cp.identity.claims import tenants_of
from stoa_cp.identity.tokens import read_token
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.kernel.conftest import restart_process
from tests.waiting import wait_until

HOME = os.environ.get("STOA_KEYCLOAK_HOME", "")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not HOME, reason="needs a Keycloak: make test-keycloak"),
]

REALM_FILE = django_settings.BASE_DIR / "stoa_cp" / "keycloak" / "stoa-realm.json"
CLIENT_SECRET, PASSWORD = "client-secret", "password"
READY_SECONDS = 300.0  # its first start compiles itself


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The issuer of a Keycloak that has imported the realm."""
    port = free_port(0)
    imported = Path(HOME) / "data" / "import"
    shutil.rmtree(imported, ignore_errors=True)
    imported.mkdir(parents=True)
    realm = json.loads(REALM_FILE.read_text())
    realm["clients"][0]["directAccessGrantsEnabled"] = True  # people's tokens without a browser: in this test only
    (imported / "stoa-realm.json").write_text(json.dumps(realm))
    chosen = {"STOA_CLIENT_SECRET": CLIENT_SECRET, "STOA_USER_PASSWORD": PASSWORD, "STOA_URL": "http://127.0.0.1:8000"}
    command = ["sh", f"{HOME}/bin/kc.sh", "start-dev", "--import-realm", "--db=dev-mem"]
    command += ["--http-host=127.0.0.1", f"--http-port={port}"]
    issuer = f"http://127.0.0.1:{port}/realms/stoa"
    with subprocess.Popen(command, env=os.environ | chosen, start_new_session=True) as process:
        try:
            wait_for(f"{issuer}/.well-known/openid-configuration", process)
            yield issuer
        finally:
            os.killpg(process.pid, 15)


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


def log_in(issuer: str, name: str) -> dict[str, str]:
    return answer_of(issuer, grant_type="password", username=name, password=PASSWORD, scope="openid")


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
        ("edge", "stoa-gateway"),
    ],
)
def test_there_is_somebody_for_every_role(issuer: str, acme: Tenant, name: str, role: str) -> None:
    token = log_in(issuer, name)["access_token"]

    assert Caller(token).get("/v1/me").json()["roles"] == [role]
    assert tenants_of(read_token(token)[0]) == (() if name in ("olga", "edge") else ("acme",))


def test_a_tenants_people_stay_in_it(issuer: str, acme: Tenant, globex: Tenant) -> None:
    victor = Caller(log_in(issuer, "victor")["access_token"])

    assert victor.get("/v1/tenants/acme").status_code == 200
    assert refusal_of(victor.get("/v1/tenants/globex")) == NOT_FOUND
    assert refusal_of(victor.delete("/v1/tenants/acme")) == MISSING_ROLE


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_keycloaks_other_tokens_open_nothing(issuer: str, kind: str) -> None:
    response = Caller(log_in(issuer, "olga")[kind]).get("/v1/me")

    assert refusal_of(response) == (401, "unauthorized", "", "token_invalid")
