"""Clients that announce a body and never send it, at a real server with four threads: everybody else is served."""

import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from stoa_cp.crypto.credentials import new_credential
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from tenants.models import Tenant
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.factories import ApiFactory, GatewayFactory
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.deadline]

STALLED = 30  # connections, for four threads


@pytest.fixture
def server(realm: Grants) -> Iterator[WebProcess]:
    with web_processes(Application(environment={"STOA_OIDC_ISSUER": realm.issuer})) as (server,):
        yield server


@pytest.fixture
def token(realm: Grants) -> Callable[[str], dict[str, str]]:
    return lambda name: {"Authorization": f"Bearer {realm.key.sign(access_claims(PEOPLE[name], realm.issuer))}"}


@contextmanager
def stalled(
    server: WebProcess, path: str, headers: dict[str, str], count: int = STALLED
) -> Iterator[list[socket.socket]]:
    """Open connections that announce 100 bytes, send one, and wait."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 100"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with ExitStack() as stack:
        address = ("127.0.0.1", server.port)
        clients = [stack.enter_context(socket.create_connection(address, timeout=10)) for _client in range(count)]
        for client in clients:
            client.sendall("\r\n".join([*lines, "", "{"]).encode())
        yield clients


def answered(client: socket.socket) -> bool:
    """Tell whether the client has an answer, without waiting for one."""
    readable, _writable, _failed = select.select([client], [], [], 0)
    return bool(readable)


def check_service(server: WebProcess, method: str, path: str, headers: dict[str, str], *, expected: int) -> None:
    """Send 20 requests. Each must be answered as expected, within a second."""
    for _request in range(20):
        begun_at = time.monotonic()
        assert server.ask(method, path, headers)[0] == expected
        assert time.monotonic() - begun_at < 1


@pytest.mark.parametrize("path", ["/v1/tenants", "/v1/gateway/traffic", "/v1/gateway/keys/verify"])
def test_without_a_token_no_body_is_waited_for(server: WebProcess, path: str) -> None:
    with stalled(server, path, {}) as clients:
        wait_until(lambda: all(map(answered, clients)), "each has its 401", seconds=10)
        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 401"}
        check_service(server, "GET", "/healthz", {}, expected=200)


def test_with_tokens_half_of_the_threads_stay_free(
    server: WebProcess, token: Callable[[str], dict[str, str]], acme: Tenant, globex: Tenant
) -> None:
    ApiFactory(tenant=acme)
    server.token = new_credential("stoa_gtw_")
    GatewayFactory(token=server.token)
    hers = stalled(server, "/v1/tenants/acme/apis", token("victor"))
    with hers as clients, stalled(server, "/v1/tenants/globex/apis", token("bob")) as others:
        stalling = [*clients, *others]
        wait_until(lambda: sum(map(answered, stalling)) == 2 * STALLED - 2, "all but two are refused", seconds=20)

        check_service(server, "GET", "/healthz", {}, expected=200)
        check_service(server, "GET", "/v1/tenants/acme/apis", token("alice"), expected=200)
        check_service(server, "GET", "/v1/gateway/authorize", {"X-Forwarded-Uri": "/acme/none"}, expected=404)
        for _verification in range(20):
            assert server.verify("stoa_live_malformed") == "key_malformed"


def test_stalled_bodies_of_a_tenant_stop_no_write_of_another(
    server: WebProcess, token: Callable[[str], dict[str, str]], acme: Tenant, globex: Tenant
) -> None:
    write = token("bob") | {"Content-Type": "application/json"}
    with stalled(server, "/v1/tenants/acme/apis", token("victor")) as clients:
        wait_until(lambda: sum(map(answered, clients)) == STALLED - 1, "all but one are refused", seconds=10)

        check_service(server, "POST", "/v1/tenants/globex/plans", write, expected=400)


def test_a_stalled_gateway_stops_no_caller_of_the_api(
    server: WebProcess, token: Callable[[str], dict[str, str]], acme: Tenant
) -> None:
    gateway = {"X-Stoa-Gateway-Token": new_credential("stoa_gtw_")}
    GatewayFactory(token=gateway["X-Stoa-Gateway-Token"])
    write = token("alice") | {"Content-Type": "application/json"}
    with stalled(server, "/v1/gateway/traffic", gateway) as clients:
        wait_until(lambda: sum(map(answered, clients)) == STALLED - 3, "all but three are refused", seconds=10)

        check_service(server, "POST", "/v1/tenants/acme/plans", write, expected=400)


def test_a_client_without_a_place_is_told_to_come_back(
    server: WebProcess, token: Callable[[str], dict[str, str]], acme: Tenant, globex: Tenant
) -> None:
    def write(name: str, tenant: str) -> tuple[int, str, str]:
        headers = token(name) | {"Content-Type": "application/json"}
        status, answered, body = server.ask("POST", f"/v1/tenants/{tenant}/plans", headers, b"{}")
        return status, answered.get("retry-after", ""), json.loads(body)["error"]["details"][0]["code"]

    hers = stalled(server, "/v1/tenants/acme/apis", token("victor"), count=1)
    with hers as clients, stalled(server, "/v1/tenants/globex/apis", token("bob"), count=1) as others:
        wait_until(lambda: write("olga", "acme")[0] == 503, "both places are taken", seconds=10)
        assert write("olga", "acme") == (503, "1", "unavailable")
        assert write("alice", "acme") == (429, "1", "too_many_at_once")

        for client in (*clients, *others):
            client.sendall(b" " * 99)
        wait_until(lambda: write("alice", "acme")[0] == 400, "the places are free again", seconds=10)


@pytest.mark.parametrize("path", ["/admin/login/", "/leaks/github", "/nothing"])
def test_without_a_token_no_other_path_is_a_way_around(
    server: WebProcess, token: Callable[[str], dict[str, str]], acme: Tenant, path: str
) -> None:
    write = token("alice") | {"Content-Type": "application/json"}
    with stalled(server, path, {}) as clients:
        wait_until(lambda: sum(map(answered, clients)) == STALLED - 1, "all but one are refused", seconds=10)

        check_service(server, "GET", "/healthz", {}, expected=200)
        check_service(server, "POST", "/v1/tenants/acme/plans", write, expected=400)
