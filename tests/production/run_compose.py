"""Builds the Dockerfile, starts every service of compose.yaml, and walks from a tenant to a call through the gateway.

The identity provider alone is a stand-in at Keycloak's address, unless STOA_KEYCLOAK_HOME is the folder of a real one.
"""

import json
import os
import pickle
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from threading import Thread
from typing import Any

from stoa_cp.devserver.http import Request, Response, http_server, json_response
from tests.production import images, provider
from tests.production.compose import Service, in_order, read_document, required_variables, services
from tests.production.containers import Containers
from tests.production.machine import ADDRESS
from tests.project.documents import ROOT, blocks
from tests.waiting import wait_until

DOMAIN = "example.com"
HAS_KEYCLOAK = "STOA_KEYCLOAK_HOME" in os.environ
ISSUER = f"https://auth.{DOMAIN}/realms/stoa"
UPSTREAM_PORT = 9100


def prepare(folder: Path) -> None:
    """Build the stages of our images. This downloads packages, so it needs this machine's network."""
    built = images.build(["install", "service"] + (["keycloak-build", "keycloak"] if HAS_KEYCLOAK else []), folder)
    (folder / "images").write_bytes(pickle.dumps(built))


def run(folder: Path) -> None:
    """Raises AssertionError or NeverHappened at the first step that does not do what the files say."""
    document = read_document(variables(folder))
    built = pickle.loads((folder / "images").read_bytes())  # noqa: S301 - the file is ours
    configurations = {
        name: each.get("content") or (ROOT / each["file"]).read_text() for name, each in document["configs"].items()
    }
    containers = Containers(folder, built, configurations)
    found = services(document)
    client = Client(folder)
    token = "" if HAS_KEYCLOAK else provider.platform_token(provider.serve(ISSUER, ADDRESS))
    for service in in_order(found):
        if service.name != "keycloak" or HAS_KEYCLOAK:
            _say(f"start {service.name}")
            containers.start(service)
    everything_is_read_only(containers, found)
    client.token = token or client.token_of_keycloak(found["keycloak"].values["environment"]["STOA_CLIENT_SECRET"])
    walk_through(client, serve_upstream())
    starts_again(containers, found)
    everything_ends_in_time(containers, found)


def variables(folder: Path) -> dict[str, str]:
    """Run the guide's own lines, and return what the file .env has then."""
    guide = (ROOT / "templates/guide/containers.md").read_text()
    (lines,) = (block for block in blocks(guide, "sh") if ">> .env" in block)
    # `docker run --rm IMAGE python …`, with the interpreter and the program of this checkout.
    docker = f'docker() {{ shift 4; (cd {ROOT} && {sys.executable} "$@"); }}\n'
    subprocess.run(["bash", "-euc", docker + lines], cwd=folder, check=True)
    read = dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())
    assert set(read) == required_variables()
    assert not (folder / ".env").stat().st_mode & 0o077
    return read


def serve_upstream() -> list[Request]:
    """Serve an API; return what reaches it."""
    received: list[Request] = []

    def respond(request: Request) -> Response:
        received.append(request)
        return json_response({})

    _serve(UPSTREAM_PORT, respond)
    return received


def _serve(port: int, respond: Callable[[Request], Response]) -> None:
    Thread(target=http_server(ADDRESS, port, respond).serve_forever, daemon=True).start()


def everything_is_read_only(containers: Containers, found: Mapping[str, Service]) -> None:
    """Nothing is writable but what compose.yaml names, and no process is root or can become it."""
    _say("root and account of each service")
    for name in containers.running:
        service = found[name]
        touched = containers.execute(service, ["touch", "/app/x", "/etc/x", "/usr/x"])
        assert touched.stderr.count(b"Read-only file system") + touched.stderr.count(b"No such file") == 3, (
            containers.failure(service)
        )
        for path in service.tmpfs:
            assert containers.execute(service, ["touch", f"{path}/x"]).returncode == 0, f"{name}: {path}"
            containers.execute(service, ["rm", f"{path}/x"])
        status = Path(f"/proc/{containers.running[name].pid}/status").read_text()
        wanted = service.values["user"].partition(":")[0]
        assert f"Uid:\t{wanted}\t{wanted}\t{wanted}\t{wanted}" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status


@dataclass(slots=True)
class Client:
    """A client outside, which trusts the authority that `certificates` made and nothing else."""

    folder: Path
    token: str = ""

    def token_of_keycloak(self, secret: str) -> str:
        form = f"grant_type=client_credentials&client_id=control-plane-api&client_secret={secret}"
        path, kind = "/realms/stoa/protocol/openid-connect/token", "application/x-www-form-urlencoded"
        status, answer = self.call("auth", "POST", path, form, Content_Type=kind)
        assert status == 200, answer
        return str(answer["access_token"])

    def call(self, name: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        trusted = ssl.create_default_context(cafile=str(self.folder / "volume-certificates" / "ca.pem"))
        connection = HTTPSConnection(f"{name}.{DOMAIN}", context=trusted, timeout=20)
        sent = {"Content-Type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, body if isinstance(body, str | None) else json.dumps(body), sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, json.loads(text) if text.startswith(("{", "[")) else text

    def api(self, method: str, path: str, body: Any = None, *, expected: int = 200) -> Any:
        status, answer = self.call("stoa", method, f"/v1{path}", body, Authorization=f"Bearer {self.token}")
        assert status == expected, answer
        return answer


def walk_through(client: Client, received: list[Request]) -> None:
    """A tenant is set up by the worker; its key passes the gateway; its traffic is reported; its limits hold."""
    _say("a tenant, an API, a key, and calls through the gateway")
    status, ready = client.call("stoa", "GET", "/readyz")
    assert (status, set(ready["components"].values())) == (200, {"ok"}), ready
    assert client.call("stoa", "GET", "/metrics")[0] == 404
    tenant = {"name": "acme", "tier": "starter", "admin_email": "admin@acme.com", "region": "us-east-1"}
    client.api("POST", "/tenants", tenant, expected=201)
    wait_until(lambda: client.api("GET", "/tenants/acme")["status"] == "active", "the worker sets the tenant up")
    made = {
        "name": "pay",
        "upstream_url": f"http://{ADDRESS}:{UPSTREAM_PORT}",
        "path": "/pay",
        "rate_limit": {"requests_per_hour": 1000},
    }
    api_id = client.api("POST", "/tenants/acme/apis", made, expected=201)["id"]
    wanted = {"api_id": api_id, "plan": "standard", "application": "shop"}
    subscription = client.api("POST", "/tenants/acme/subscriptions", wanted, expected=201)["id"]
    approved = client.api("POST", f"/tenants/acme/subscriptions/{subscription}/approve", {"rate_limit": 2})
    key = approved["api_key"]

    statuses = [client.call("gateway", "GET", "/acme/pay/1", X_API_Key=key)[0] for _call in range(3)]
    assert statuses == [200, 200, 429], statuses
    assert client.call("gateway", "GET", "/acme/pay/1")[0] == 401
    assert [each.path for each in received] == ["/1", "/1"]

    usage = f"/tenants/acme/subscriptions/{subscription}/usage"
    assert client.api("GET", usage)["quota"]["used"] == 2
    wait_until(lambda: client.api("GET", usage)["requests"] >= 2, "the gateway's log is reported", seconds=60)


def starts_again(containers: Containers, found: Mapping[str, Service]) -> None:
    """A second `docker compose up` finds what the first one made, and changes nothing of it."""
    _say("once more: certificates, prepare, gateway-configuration")
    kept = {path: path.read_bytes() for path in containers.folder.glob("volume-certificates/*")}
    token = (containers.folder / "volume-gateway/token").read_bytes()
    for name in ("certificates", "prepare", "gateway-configuration"):
        containers.start(found[name])
    assert {path: path.read_bytes() for path in kept} == kept
    assert (containers.folder / "volume-gateway/token").read_bytes() == token


def everything_ends_in_time(containers: Containers, found: Mapping[str, Service]) -> None:
    """Each service ends within its grace period; an engine would kill it then."""
    for service in reversed(in_order(found)):
        if service.name in containers.running:
            _say(f"stop {service.name}")
            containers.stop(service)


def _say(text: str) -> None:
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()
