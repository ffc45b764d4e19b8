"""Tokens of a provider that knows nothing of us: oidc-provider, a certified one, at Keycloak's addresses."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from pytest_django import Settings

from stoa_cp.devserver.cluster import free_port
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.kernel.conftest import restart_process
from tests.programs import install_npm_packages, require_program

pytestmark = pytest.mark.django_db

PROGRAM = Path(__file__).parent / "oidc_provider"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The issuer of a running provider."""
    folder = tmp_path_factory.mktemp("oidc-provider")
    install_npm_packages(PROGRAM, folder)
    port = free_port(0)
    command = [require_program("node"), "provider.mjs", str(port)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("/realms/stoa/"), "the provider did not start"
        yield f"http://127.0.0.1:{port}/realms/stoa"
        process.terminate()


@pytest.fixture
def issuer(served: str, settings: Settings) -> Iterator[str]:
    settings.STOA_OIDC_ISSUER, settings.STOA_OIDC_JWKS_URL = served, ""
    restart_process()
    yield served
    restart_process()


def token_of(issuer: str, client_id: str) -> str:
    """Ask as the specification's curl does."""
    form = {"client_id": client_id, "client_secret": "client-secret", "grant_type": "client_credentials"}
    with urlopen(f"{issuer}/protocol/openid-connect/token", urlencode(form).encode(), timeout=10) as response:  # noqa: S310 - our own loopback address
        token: str = json.load(response)["access_token"]
    return token


def test_the_specifications_own_request_gives_a_token_that_works(issuer: str, acme: Tenant) -> None:
    caller = Caller(token_of(issuer, "control-plane-api"))

    me = caller.get("/v1/me").json()
    assert (me["subject"], me["roles"]) == ("control-plane-api", ["cpi-admin"])
    assert caller.get("/v1/tenants/acme").status_code == 200


@pytest.mark.parametrize(
    ("client_id", "roles"), [("acme-robot", ["tenant-admin"]), ("acme-viewer", ["viewer"])], ids=["ES256", "PS256"]
)
def test_other_algorithms_and_a_tenant_in_the_token(
    issuer: str, acme: Tenant, globex: Tenant, client_id: str, roles: list[str]
) -> None:
    caller = Caller(token_of(issuer, client_id))

    me = caller.get("/v1/me").json()
    assert (me["roles"], [tenant["name"] for tenant in me["tenants"]]) == (roles, ["acme"])
    assert caller.get("/v1/tenants/acme").status_code == 200
    assert refusal_of(caller.get("/v1/tenants/globex")) == NOT_FOUND
    assert refusal_of(caller.delete("/v1/tenants/acme")) == MISSING_ROLE


@pytest.mark.parametrize("client_id", ["somebody-else", "opaque"])
def test_a_token_for_another_service_or_an_opaque_one_is_refused(issuer: str, client_id: str) -> None:
    response = Caller(token_of(issuer, client_id)).get("/v1/me")

    assert refusal_of(response) == (401, "unauthorized", "", "token_invalid")
