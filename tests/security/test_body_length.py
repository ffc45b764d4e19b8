"""Bodies without an announced length, at a real server: they count like any other, and no limit is void for them."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from catalog.authentication import HEADER
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.rest.limits import VERIFY_PATH
from stoa_cp.rest.request_body import RequestBodyMiddleware
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import Tenant
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.factories import GatewayFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(realm: Grants) -> Iterator[WebProcess]:
    with web_processes(Application(environment={"STOA_OIDC_ISSUER": realm.issuer})) as (server,):
        yield server


@pytest.fixture
def token(realm: Grants) -> str:
    return realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))


@pytest.fixture
def pending(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, rate_limit=None, quota=None)


def send_chunked(server: WebProcess, token: str, method: str, path: str, body: bytes) -> tuple[int, Any]:
    """Send ``body`` in two chunks, and no Content-Length."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    half = len(body) // 2
    connection.request(method, path, iter([body[:half], body[half:]]), headers, encode_chunked=True)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, json.loads(answer) if answer else None


def test_a_chunked_body_counts(server: WebProcess, token: str, pending: Subscription) -> None:
    path = f"/v1/tenants/acme/subscriptions/{pending.id}"
    status, approved = send_chunked(
        server, token, "POST", f"{path}/approve", b'{"rate_limit": 1, "quota": 2, "issue_key": false}'
    )
    assert (status, approved["rate_limit"], approved["quota"], approved["api_key"]) == (200, 1, 2, None)
    status, changed = send_chunked(server, token, "PATCH", path, b'{"quota": 3}')
    assert (status, changed["quota"]) == (200, 3)
    status, _none = send_chunked(server, token, "DELETE", path, b'{"reason": "The contract has ended."}')
    pending.refresh_from_db()
    assert (status, pending.status, pending.status_reason) == (
        204,
        SubscriptionStatus.REVOKED,
        "The contract has ended.",
    )


def test_a_chunked_body_is_checked(server: WebProcess, token: str, pending: Subscription) -> None:
    path = f"/v1/tenants/acme/subscriptions/{pending.id}/approve"
    assert send_chunked(server, token, "POST", path, b'{"colour": 1}')[0] == 400
    assert send_chunked(server, token, "POST", path, b"{")[0] == 400
    pending.refresh_from_db()
    assert pending.status == SubscriptionStatus.PENDING_APPROVAL


def test_a_chunked_body_has_the_same_limit(server: WebProcess, token: str, acme: Tenant) -> None:
    limit = settings.STOA_MAX_BODY_BYTES
    fits = json.dumps({"name": "x" * (limit - len(b'{"name": ""}'))}).encode()
    status, refusal = send_chunked(server, token, "POST", "/v1/tenants/acme/apis", fits)
    assert (len(fits), status, refusal["error"]["code"]) == (limit, 400, "validation_error")
    status, refusal = send_chunked(server, token, "POST", "/v1/tenants/acme/apis", fits + b" ")
    assert (status, refusal["error"]["details"][0]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("header", "arrived"),
    [
        ("Content-Length: 100", b""),
        ("Content-Length: 100", b'{"issue_key": false}'),
        ("Transfer-Encoding: chunked", b""),
        ("Transfer-Encoding: chunked", b"no size\r\n"),
        ("Transfer-Encoding: chunked", b'f\r\n{"issue_key": f\r\n'),
    ],
)
def test_a_body_that_is_cut_off_does_nothing(
    server: WebProcess, token: str, pending: Subscription, header: str, arrived: bytes
) -> None:
    path = f"/v1/tenants/acme/subscriptions/{pending.id}/approve"
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", header]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall("\r\n".join([*lines, "Content-Type: application/json", "", ""]).encode() + arrived)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    pending.refresh_from_db()
    assert pending.status == SubscriptionStatus.PENDING_APPROVAL


def test_the_rest_of_a_body_that_was_too_large_is_no_body(server: WebProcess) -> None:
    server.token = new_credential("stoa_gtw_")
    GatewayFactory(token=server.token)
    # From the second call on the fast path reads the body before Django does.
    assert server.verify("stoa_live_malformed") == "key_malformed"
    body = b" " * (settings.STOA_MAX_BODY_BYTES + 1) + b'{"key": "stoa_live_malformed"}'
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {HEADER: server.token, "Content-Type": "application/json"}
    connection.request("POST", VERIFY_PATH, iter([body]), headers, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["details"][0]["code"]) == (413, "too_large")
    connection.close()


def test_a_request_without_a_body_waits_for_none(server: WebProcess, token: str, acme: Tenant) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        head = f"DELETE /v1/tenants/acme HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 204")


def test_where_the_server_cannot_tell_the_end_the_length_is_required(realm: Grants, token: str) -> None:
    answer: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/tenants",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(b"never read"),
        "HTTP_TRANSFER_ENCODING": "chunked",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
    }
    application = RequestBodyMiddleware(get_wsgi_application())
    body = b"".join(application(environ, lambda status, _headers: answer.append(status)))
    assert answer[0].startswith("411")
    assert json.loads(body)["error"]["details"][0]["code"] == "length_required"
