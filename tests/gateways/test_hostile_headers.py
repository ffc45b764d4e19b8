"""Request headers that would open a tunnel, remove our own headers, or be read as another one, through real proxies."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from apikeys.gateway.exporters.site import IDENTITY_HEADERS, INTERNAL_HEADERS, ROUTING_HEADERS
from apikeys.models import ApiKey
from apikeys.services.keys import NewKey, issue_key
from apikeys.services.revocations import revoke_key
from stoa_cp.domain.actors import SYSTEM
from tests.factories import ApiFactory, SubscriptionFactory
from tests.gateways.conftest import Deployment
from tests.gateways.proxies import Proxy
from tests.gateways.tunnels import WEBSOCKET_KEY, Switching, switching_upstream, try_to_switch

PAYMENTS = "/acme/payments"
SOCKETS = "/acme/sockets"
WEBSOCKET = ("Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {WEBSOCKET_KEY}")


@dataclass(frozen=True, slots=True)
class Sockets:
    """An API whose upstream switches protocols, and a key for it."""

    upstream: Switching
    key: ApiKey
    credential: str


@pytest.fixture
def sockets(deployment: Deployment) -> Iterator[Sockets]:
    tenant = deployment.payments.tenant
    with switching_upstream() as switching:
        api = ApiFactory(tenant=tenant, name="sockets", path="/sockets", upstream_url=switching.url)
        issued = issue_key(SubscriptionFactory(tenant=tenant, api=api, active=True), NewKey(), by=SYSTEM)
        yield Sockets(switching, issued.resource, f"X-API-Key: {issued.secret}")


SWITCHES = (
    ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
    ["Connection: Upgrade", "Upgrade: H2C"],
    ["Connection: upgrade", "Upgrade: h2c, websocket", *WEBSOCKET[1:]],
    ["Connection: upgrade", "Upgrade: websocket, h2c", *WEBSOCKET[1:]],
    ["Connection: Upgrade", "Upgrade: websocket/13", *WEBSOCKET[1:]],
    ["Connection: Upgrade", "Upgrade: TLS/1.0"],
    ["Connection: Upgrade", "Upgrade: xwebsocket"],
    ["Connection: keep-alive, Upgrade", "Upgrade: websocketx"],
    ["Upgrade: h2c"],
)
# Of two headers, a program may take either. It may switch to websocket; it must not switch to the other.
TWO_UPGRADES = (
    ["Upgrade: h2c", "Upgrade: websocket", *WEBSOCKET],
    ["Upgrade: websocket", "Upgrade: h2c", *WEBSOCKET],
)


def test_a_connection_becomes_a_websocket_and_nothing_else(sockets: Sockets, edge: Proxy) -> None:
    for headers in SWITCHES:
        status, _echo = try_to_switch(edge, SOCKETS, sockets.credential, *headers)
        assert status in (200, 400, 403), headers
    assert sockets.upstream.tunnelled == []
    for headers in TWO_UPGRADES:
        try_to_switch(edge, SOCKETS, sockets.credential, *headers)
    assert "h2c" not in "".join(sockets.upstream.heads).lower()
    for spelling in ("websocket", "WebSocket"):
        status, echo = try_to_switch(
            edge, SOCKETS, sockets.credential, f"Upgrade: {spelling}", *WEBSOCKET, sends=b"\x81\x85hello"
        )
        assert (status, echo) == (101, b"\x81\x85hello")

    revoke_key(sockets.key, by=SYSTEM)
    seen = len(sockets.upstream.heads)
    for headers in (*SWITCHES, *TWO_UPGRADES, ["Upgrade: websocket", *WEBSOCKET]):
        assert try_to_switch(edge, SOCKETS, sockets.credential, *headers)[0] in (400, 401, 403), headers
    assert len(sockets.upstream.heads) == seen


NOMINATED = (*IDENTITY_HEADERS, *ROUTING_HEADERS, *INTERNAL_HEADERS)
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-URI")


def test_a_client_cannot_declare_our_headers_hop_by_hop(edge: Proxy, deployment: Deployment) -> None:
    lists = [[name] for name in (*NOMINATED, *FORWARDED)]
    lists += [["close", *NOMINATED, *FORWARDED], ["keep-alive", "x-stoa-tenant", "X-STOA-API"]]
    for names in lists:
        nominated = f"Connection: {', '.join(names)}"
        answer = edge.call(PAYMENTS, deployment.credential, nominated)
        if answer.status == 400:
            continue
        assert answer.status == 200, names
        ((_method, _target, headers),) = deployment.paying.calls
        assert headers["x-stoa-tenant"] == deployment.payments.tenant_id, names
        assert headers["x-stoa-api"] == deployment.payments.id, names
        assert headers["x-stoa-subscription"] == deployment.mobile.id, names
        assert headers["x-forwarded-for"], names
        # An upstream would obey it as well.
        assert "stoa" not in headers.get("connection", "").lower(), names
        deployment.paying.calls.clear()


def test_a_key_cannot_be_declared_hop_by_hop(edge: Proxy, deployment: Deployment) -> None:
    bearer = f"Authorization: Bearer {deployment.secret}"
    for credential in (deployment.credential, bearer):
        for target in (PAYMENTS, "/acme/open"):
            name = credential.partition(":")[0]
            # With the key, which does not open the second one, or as if there was none.
            assert edge.call(target, credential, f"Connection: close, {name}").status in (200, 400, 401, 403)
    assert deployment.secret not in str(deployment.paying.calls + deployment.others.calls)
    assert all(headers["x-stoa-key"] for _method, _target, headers in deployment.paying.calls)


UNDERSCORED = (
    "X_Forwarded_For: 6.6.6.6",
    "X-Forwarded_For: 6.6.6.6",
    "X_Forwarded_Host: evil.example.com",
    "X_Forwarded_Proto: https",
    "X_Real_IP: 6.6.6.6",
    "X_Stoa_Tenant: evil",
    "X-Stoa_Api: evil",
    "X_Stoa_Mode: evil",
)


def test_an_underscore_makes_no_other_header(edge: Proxy, deployment: Deployment) -> None:
    """Servers of the CGI family read _ as -: to them ``X_Forwarded_For`` is ``X-Forwarded-For``."""
    assert edge.call(PAYMENTS, deployment.credential, *UNDERSCORED).status == 200
    assert edge.call("/acme/open", *UNDERSCORED, f"X_API_Key: {deployment.secret}").status == 200
    for spelling in ("X_API_Key", "X-API_Key", "X_API-Key"):
        answer = edge.call(PAYMENTS, f"{spelling}: {deployment.secret}")
        assert (answer.status, answer.error["reason"]) == (401, "key_missing"), spelling

    calls = deployment.paying.calls + deployment.others.calls
    assert len(calls) == 2
    assert [name for _method, _target, headers in calls for name in headers if "_" in name] == []
    assert "6.6.6.6" not in str(calls)
    assert deployment.secret not in str(calls)
    if edge.log.exists():
        assert deployment.secret not in edge.log.read_text()
