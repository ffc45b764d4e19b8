"""A database with an owner and a runtime role, as an operator prepares it, for the processes of the service."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from stoa_cp.devserver import environment as environments
from stoa_cp.devserver.grants import Grants
from tests.databases import database_url
from tests.faults import processes
from tests.faults.load import Caller

ROLE_PASSWORD = "p@:/ 'x\\"  # has what URLs, SQL and connection strings escape, each in another way
COMMAND_SECONDS = 120  # for `prepare`, which applies all migrations, on a busy machine


@dataclass(frozen=True, slots=True)
class Installation:
    """A database that is prepared for a runtime role, and the environments of its owner and of the service.

    The owner is no superuser: on most managed servers there is none.
    """

    role: str
    superuser_url: str
    owner: Mapping[str, str]
    service: Mapping[str, str]

    def as_superuser(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.superuser_url, autocommit=True)

    def as_owner(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.owner["DATABASE_URL"], autocommit=True)

    def as_role(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.service["DATABASE_URL"], autocommit=True)

    def count(self, query: LiteralString) -> int:
        with self.as_owner() as session:
            row = session.execute(query).fetchone()
        assert row
        return int(row[0])


def manage(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command,
        cwd=processes.ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )


def with_login(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    quoted = "".join(f"%{byte:02x}" for byte in password.encode())
    return parts._replace(netloc=f"{role}:{quoted}@{parts.hostname}:{parts.port}").geturl()


@contextmanager
def installed(realm: Grants) -> Iterator[Installation]:
    """Prepare a database and a role of their own; both are gone afterwards."""
    url, name = database_url(), f"runtime_{uuid4().hex[:12]}"
    own_url, owner_name = urlsplit(url)._replace(path=f"/{name}").geturl(), f"{name}_owner"
    with psycopg.connect(url, autocommit=True) as server:
        names = {"name": sql.Identifier(name), "owner": sql.Identifier(owner_name)}
        server.execute(sql.SQL("CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'owner'").format(**names))
        server.execute(sql.SQL("CREATE DATABASE {name} OWNER {owner}").format(**names))
        with tempfile.TemporaryDirectory(prefix="stoa-runtime-") as folder:
            owner = environment(with_login(own_url, owner_name, "owner"), realm, folder)
            done = manage(owner | {"STOA_RUNTIME_PASSWORD": ROLE_PASSWORD}, "prepare", "--runtime-role", name)
            assert f"The runtime role {name} is ready." in done.stdout, done.stderr
            yield Installation(name, own_url, owner, owner | {"DATABASE_URL": with_login(own_url, name, ROLE_PASSWORD)})
        server.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))
        server.execute(sql.SQL("DROP ROLE {name}").format(**names))
        server.execute(sql.SQL("DROP ROLE {owner}").format(**names))


def environment(url: str, realm: Grants, folder: str) -> dict[str, str]:
    chosen = {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "stoa_cp.settings",
        "STOA_DATA_DIR": folder,
        "STOA_OIDC_ISSUER": realm.issuer,
        "STOA_BROKER_URL": "",
    }
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("STOA_")}
    return surroundings | environments.defaults_for(chosen, {}) | chosen


def provision(api: Caller) -> tuple[dict[str, Any], str]:
    """Make a tenant, an API, an active subscription with its key, and a decision on a call."""
    tenant = {"name": "acme", "tier": "starter", "admin_email": "a@b.example", "region": "us-east-1"}
    assert api.post("/tenants", tenant).status == 201
    new_api = {"name": "payments", "path": "/payments", "upstream_url": "https://payments.example.com"}
    api_id = api.post("/tenants/acme/apis", new_api).json["id"]
    plan = {"slug": "gold", "name": "Gold", "rate_limit": 100, "quota": 1000, "approval": "automatic"}
    assert api.post("/tenants/acme/plans", plan).status == 201
    hook = {"url": "http://127.0.0.1:65535/", "events": ["*"]}
    assert api.post("/tenants/acme/webhooks", hook).status == 201
    wanted = {"api_id": api_id, "plan": "gold", "application": "mobile"}
    subscription = api.post("/tenants/acme/subscriptions", wanted, **{"Idempotency-Key": "k-1"}).json
    assert subscription["status"] == "active"
    assert api.post("/gateway/keys/verify", {"key": subscription["api_key"]}).json["valid"]
    assert api.post("/gateways", {"name": "edge-1"}).status == 201
    return subscription, api_id
