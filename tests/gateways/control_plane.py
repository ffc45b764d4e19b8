"""A control plane that lets every call pass, with TLS or without; certificates for it, and a name server."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.site import IDENTITY_HEADERS
from tests.gateways.proxies import QuietServer

NAME = "localhost"
OTHER_NAME = "other.example.com"


@dataclass(frozen=True, slots=True)
class Authority:
    """One that certifies servers."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        built = _builder("authority", key).issuer_name(_name("authority")).add_extension(constraints, critical=True)
        return cls(key, built.sign(key, hashes.SHA256()))

    def write(self, path: Path) -> None:
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def context_for(self, host: str, folder: Path) -> ssl.SSLContext:
        """Return what a server needs to present a certificate for ``host``."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        built = _builder(host, key).issuer_name(self.certificate.subject).add_extension(names, critical=False)
        path = folder / "server.pem"
        certificate = built.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)
        path.write_bytes(certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(_name(name)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))


def route_to(upstream_url: str, path: str = "/acme/pay") -> Route:
    """Return the route of an API at ``path``."""
    return Route(
        api_id=f"api-{path[6:]}",
        tenant_id="tnt-1",
        tenant="acme",
        path=path,
        upstream_url=upstream_url,
        auth_required=True,
        requests_per_hour=None,
        status="active",
    )


@dataclass(slots=True)
class ControlPlane:
    """``context``: the certificate for the next connection, if it has TLS. ``queries``: what it was sent. ``mode``: its
    next decision's.
    """

    context: ssl.SSLContext | None
    port: int = 0
    queries: list[str] = field(default_factory=list)
    mode: str = "live"


@contextmanager
def control_plane(context: ssl.SSLContext | None, *routes: Route) -> Iterator[ControlPlane]:
    """Serve one on loopback that sends a call to the route whose path it holds, else to the first."""
    plane = ControlPlane(context)

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = f"{self.path} {self.headers}"
            plane.queries.append(query)
            route = next((each for each in routes if each.path in query), routes[0])
            self.send_response(200)
            answer = dict.fromkeys(IDENTITY_HEADERS, "") | {"X-Stoa-Api": route.api_id, "X-Stoa-Path": "/x"}
            answer |= {"X-Stoa-Mode": plane.mode}
            answer |= {"X-Stoa-Upstream": route.upstream_url, "X-Stoa-Upstream-Scheme": route.scheme}
            answer |= {"X-Stoa-Upstream-Host": f"{route.host}:{route.port}", "Content-Length": "0"}
            for name, value in answer.items():
                self.send_header(name, value)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()  # Envoy queries with the call's own method

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    class Server(QuietServer):
        def get_request(self) -> tuple[socket.socket, Any]:
            client, address = super().get_request()
            if plane.context:
                client = plane.context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            return client, address

    server = Server(("127.0.0.1", 0), Door)
    Thread(target=server.serve_forever, daemon=True).start()
    plane.port = server.server_port
    try:
        yield plane
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def name_server() -> Iterator[int]:
    """Answer every DNS question for an IPv4 address with 127.0.0.1; yield the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            while True:
                try:
                    query, client = server.recvfrom(4096)
                except OSError:
                    return  # closed: the test is over
                server.sendto(_dns_answer(query), client)

        Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


def _dns_answer(query: bytes) -> bytes:
    """Return the answer to a query with one question (RFC 1035 §4)."""
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    is_ipv4 = question[-4:-2] == b"\0\1"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_ipv4 else b""
    counts = b"\0\1" + (b"\0\1" if is_ipv4 else b"\0\0") + b"\0\0\0\0"
    return query[:2] + b"\x81\x80" + counts + question + record
