"""Clients that stand still, and clients that are slow but steady, through real proxies."""

import socket
from contextlib import suppress
from pathlib import Path
from time import sleep

import pytest

from apikeys.gateway.exporters.site import Site
from tests.gateways.conftest import TOKEN
from tests.gateways.control_plane import control_plane, route_to
from tests.gateways.files import exported
from tests.gateways.proxies import Proxy, listen, proxy, upstream

TIME_LIMIT = "10s"
PIECES = 6
PAUSE_SECONDS = 0.4
HEAD = b"POST /acme/pay HTTP/1.1\r\nHost: gateway.example.com\r\nConnection: close\r\n"


def send_and_wait(edge: Proxy, content: bytes) -> bytes:
    """Send the beginning of a request, and return what comes until the proxy ends the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=8) as client, suppress(ConnectionResetError):
        client.sendall(content)
        while piece := client.recv(65536):
            answer += piece
    return answer


def upload_slowly(edge: Proxy) -> bytes:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=8) as client:
        client.sendall(HEAD + f"Content-Length: {PIECES}\r\n\r\n".encode())
        for _piece in range(PIECES):
            sleep(PAUSE_SECONDS)
            client.sendall(b"x")
        return client.recv(65536)


# Traefik's time limits are start options, not in the file.
@pytest.mark.deadline
@pytest.mark.parametrize("program", ["nginx", "caddy", "envoy", "haproxy"])
def test_who_stands_still_is_cut_off_and_who_is_slow_is_not(program: str, tmp_path: Path) -> None:
    with upstream() as behind, control_plane(None, route_to(behind.url)) as plane:
        url, address = f"http://127.0.0.1:{plane.port}", listen()
        site = Site(url, TOKEN, address, is_standalone=True, resolvers=["127.0.0.1"], routes=[route_to(behind.url)])
        text = exported(program, site)
        assert TIME_LIMIT in text
        # One second instead, so that the test does not take ten.
        with proxy(program, site, tmp_path, text.replace(TIME_LIMIT, "1s")) as edge:
            assert send_and_wait(edge, HEAD)[:13] in (b"", b"HTTP/1.1 408 ")
            if program == "nginx":  # the others limit the whole body or nothing
                assert b"200 OK" not in send_and_wait(edge, HEAD + b"Content-Length: 100\r\n\r\nx")
            assert PIECES * PAUSE_SECONDS > 2
            assert b" 200 OK" in upload_slowly(edge)
