"""The cast, and how it calls the service."""

import json
import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from hypothesis import HealthCheck, settings

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.http import http_server
from stoa_cp.devserver.issuer import Issuer
from stoa_cp.devserver.realm import PEOPLE, KeyPair, access_claims
from tenants.models import Tenant
from tests.factories import TenantFactory
from tests.resolver import replace_resolver, resolve_nothing

# How long an example takes to make and to try says something of the machine, and nothing of the product.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

OPERATOR = "olga"
HOUR_SECONDS = 3600
LONGEST_TEST_SECONDS = 10  # of nearly all tests


class Caller:
    """A client of the REST API with the token of one member of the cast, or with none."""

    def __init__(self, token: str | None) -> None:
        self._client = Client(raise_request_exception=False)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def move_to(self, address: str) -> None:
        """Send the next calls from this peer address."""
        self._client.defaults["REMOTE_ADDR"] = address

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.send("PATCH", path, body, headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("DELETE", path, body, headers)

    def send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        """Send ``body`` as JSON; bytes go as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = named.pop("content-type", "application/json")
        return self._client.generic(method, path, data, content_type, headers=self._headers | named)


@pytest.fixture(autouse=True)
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outbound checks find no address for any name: the registration of each API would else ask a real name server."""
    replace_resolver(monkeypatch, resolve_nothing)


@pytest.fixture(autouse=True)
def within_one_hour() -> None:
    """Let a test begin after the full hour if that is near: its calls would count in two hours, or in two days.

    It waits because nothing else helps: the hour is the database's (statement_timestamp), which a test cannot freeze,
    and the hour is the subject of the limits. A worker waits for at most LONGEST_TEST_SECONDS once in an hour.
    """
    left = HOUR_SECONDS - time.time() % HOUR_SECONDS
    if left < LONGEST_TEST_SECONDS:
        time.sleep(left)


@pytest.fixture(scope="session", autouse=True)
def realm() -> Iterator[Grants]:
    """The development realm, whose people are the cast: alice, dave and victor of acme, bob of globex, olga."""
    grants = Grants("", KeyPair.generate(), client_secret="client-secret", password="password")
    server = http_server("127.0.0.1", 0, Issuer(grants).respond)
    grants.issuer = f"http://127.0.0.1:{server.server_port}/realms/stoa"
    Thread(target=server.serve_forever, daemon=True).start()
    with override_settings(STOA_OIDC_ISSUER=grants.issuer):
        yield grants
    server.shutdown()
    server.server_close()


@pytest.fixture
def call_as(realm: Grants) -> Callable[[str], Caller]:
    """Return a function that makes the caller of a member of the cast, with a token as the provider signs it."""
    return lambda name: Caller(realm.key.sign(access_claims(PEOPLE[name], realm.issuer)))


@pytest.fixture
def alice(call_as: Callable[[str], Caller]) -> Caller:
    """The administrator of acme."""
    return call_as("alice")


@pytest.fixture
def dave(call_as: Callable[[str], Caller]) -> Caller:
    """A builder at acme."""
    return call_as("dave")


@pytest.fixture
def victor(call_as: Callable[[str], Caller]) -> Caller:
    """A reader at acme."""
    return call_as("victor")


@pytest.fixture
def bob(call_as: Callable[[str], Caller]) -> Caller:
    """The administrator of globex, without any right at acme."""
    return call_as("bob")


@pytest.fixture
def olga(call_as: Callable[[str], Caller]) -> Caller:
    """The platform's operator."""
    return call_as("olga")


@pytest.fixture
def anonymous() -> Caller:
    """A caller without a token."""
    return Caller(None)


@pytest.fixture
def acme(db: None) -> Tenant:
    """The tenant that the story is about, set up and open."""
    return TenantFactory(name="acme")


@pytest.fixture
def globex(db: None) -> Tenant:
    """The other tenant."""
    return TenantFactory(name="globex")


@pytest.fixture
def console(db: None) -> Client:
    """The console of olga, who may do everything."""
    return signed_in(User.objects.create_superuser(OPERATOR, first_name="Olga", last_name="Perator"))


@pytest.fixture
def readonly_console(db: None) -> Client:
    """The console of a user who may see everything and change nothing."""
    user = User.objects.create_user("luke", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return signed_in(user)


@pytest.fixture
def outsider_console(db: None) -> Client:
    """The console as requested by a user who is no operator."""
    return signed_in(User.objects.create_user("pete"))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="stoa_cp.operators.passwords.PasswordBackend")
    return client
