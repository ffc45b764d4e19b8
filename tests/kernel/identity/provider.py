"""A Keycloak-shaped provider on loopback: real keys and real HTTP, with moods that the tests choose."""

import base64
import json
import time
from collections.abc import Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm, get_default_algorithms

LIFETIME_SECONDS = 300
# Algorithm objects of PyJWT by name; only tests sign.
ALGORITHMS = get_default_algorithms()


@cache
def rsa_key(_name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key per name in a test run: making one takes about 100 ms."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(_name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_jwk(name: str, **members: object) -> dict[str, Any]:
    public = RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True)
    return {key: public[key] for key in ("kty", "n", "e")} | {"kid": name, "use": "sig", "alg": "RS256"} | members


def ec_jwk(name: str, **members: object) -> dict[str, Any]:
    public = ECAlgorithm.to_jwk(ec_key(name).public_key(), as_dict=True)
    return dict(public) | {"kid": name, "use": "sig", "alg": "ES256"} | members


def base64url(data: bytes | Mapping[str, Any] | list[Any]) -> str:
    octets = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def sign(payload: Mapping[str, Any] | list[Any], key: object, **header: object) -> str:
    """Sign anything, however wrong; a header set to None is left out."""
    full = {"alg": "RS256", "typ": "JWT"} | header
    head = base64url({name: value for name, value in full.items() if value is not None})
    signing_input = f"{head}.{base64url(payload)}"
    signature = ALGORITHMS[full["alg"]].sign(signing_input.encode(), key)
    return f"{signing_input}.{base64url(signature)}"


class Provider:
    """Serves metadata, keys and tokens. ``mood``: healthy, silent, dripping, broken or redirecting."""

    def __init__(self) -> None:
        self.keys = [rsa_jwk("first")]
        self.mood = "healthy"
        self.fetches = 0
        self.tokens_by_code: dict[str, dict[str, str]] = {}
        self.exchanges: list[dict[str, str]] = []
        self.released = Event()
        self._server = self._serve(port=0)
        self.url = f"http://127.0.0.1:{self._server.server_port}/realms/stoa"
        self.jwks_url = f"{self.url}/protocol/openid-connect/certs"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.released.set()
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def start_again(self) -> None:
        self._server = self._serve(port=self._server.server_port)

    def claims(self, **changes: object) -> dict[str, Any]:
        """What Keycloak puts into an access token; a claim set to None is left out."""
        now = int(time.time())
        usual = {
            "iss": self.url,
            "sub": "5f0c1d3e-alice",
            "aud": ["control-plane-api", "account"],
            "azp": "console",
            "typ": "Bearer",
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "tenant_id": "acme",
            "realm_access": {"roles": ["tenant-admin", "offline_access"]},
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def token(self, *, kid: str = "first", **changes: object) -> str:
        return sign(self.claims(**changes), rsa_key(kid), kid=kid)

    def _serve(self, port: int) -> ThreadingHTTPServer:
        server = QuietServer(("127.0.0.1", port), type("Handler", (Answers,), {"provider": self}))
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server


class QuietServer(ThreadingHTTPServer):
    """Says nothing about clients that hang up: here, that is what they are meant to do."""

    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Answers(BaseHTTPRequestHandler):
    """What the provider answers, in its mood."""

    provider: Provider

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        if self.path.endswith("/certs"):
            self.provider.fetches += 1
        if self.provider.mood == "silent":
            self.provider.released.wait(30)
        elif self.provider.mood == "dripping":
            self._drip()
        elif self.provider.mood == "redirecting" and self.path.endswith("/certs"):
            self._answer(302, {}, Location=f"{self.provider.url}/elsewhere/certs")
        elif self.provider.mood == "broken":
            self._answer(500, {})
        else:
            self._answer(200, self._document())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.provider.exchanges.append(form)
        if self.provider.mood == "silent":
            self.provider.released.wait(30)
        tokens = self.provider.tokens_by_code.pop(form["code"], None)
        self._answer(400 if tokens is None else 200, tokens or {"error": "invalid_grant"})

    def _document(self) -> dict[str, Any]:
        if self.path.endswith("/certs"):
            return {"keys": self.provider.keys}
        return {
            "issuer": self.provider.url,
            "jwks_uri": self.provider.jwks_url,
            "authorization_endpoint": f"{self.provider.url}/auth",
            "token_endpoint": f"{self.provider.url}/token",
        }

    def _answer(self, status: int, document: Mapping[str, Any], **headers: str) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        """One byte of a header every 0.2 s, for 6 s: no single read is ever slow."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _byte in range(30):
            self.provider.released.wait(0.2)
            self.wfile.write(b"x")
