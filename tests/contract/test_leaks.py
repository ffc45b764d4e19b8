"""Every secret that a whole story issues is looked for wherever something is kept or shown: there is none."""

import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from psycopg import sql

from catalog.services.gateways import create_gateway, rotate_gateway_token
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory
from tests.kernel.console.pages import list_of, page_of
from webhooks.delivery.fan_out import fan_out_events

pytestmark = pytest.mark.django_db

CHOSEN_SECRET = "whsec_TGVha1Rlc3RMZWFrVGVzdExlYWtUZXN0"
UNKNOWN_KEY = "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"
TENANT = "/v1/tenants/acme"


class Story:
    """Calls that issue secrets, each with an Idempotency-Key, and what they issued."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.secrets: list[str] = [CHOSEN_SECRET, UNKNOWN_KEY]

    def post(self, path: str, body: Any = None, *, secret: str = "") -> dict[str, Any]:
        """POST twice, as a client that retries does; remember what the answer shows once as ``secret``."""
        idempotency_key = f"retry-{len(self.secrets)}-{path}"
        for _attempt in range(2):
            response = self.caller.send("POST", f"{TENANT}{path}", body, {"Idempotency-Key": idempotency_key})
            assert response.status_code < 300, response.content
        answer: dict[str, Any] = response.json()
        if secret:
            self.secrets.append(answer[secret])
        return answer


@pytest.fixture
def story(acme: Tenant, alice: Caller) -> Story:
    """Access asked for, granted, rotated; webhooks with secrets of ours and the client's."""
    told = Story(alice)
    PlanFactory(tenant=acme, slug="standard")
    PlanFactory(tenant=acme, slug="automatic", approval="automatic")
    api = ApiFactory(tenant=acme).id
    body = {"api_id": api, "plan": "standard", "application": "mobile", "callback_url": "https://1.1.1.1/hook"}
    subscription = told.post("/subscriptions", body, secret="callback_secret")["id"]
    told.post(f"/subscriptions/{subscription}/approve", {}, secret="api_key")
    told.post("/subscriptions", {"api_id": api, "plan": "automatic", "application": "web"}, secret="api_key")
    key = told.post("/apikeys", {"subscription_id": subscription, "name": "second"}, secret="key")["id"]
    told.post(f"/apikeys/{key}/rotate", {}, secret="key")
    webhook = told.post("/webhooks", {"url": "https://1.1.1.1/a", "events": ["*"]}, secret="secret")["id"]
    told.post(f"/webhooks/{webhook}/rotate-secret", {}, secret="secret")
    chosen = told.post("/webhooks", {"url": "https://1.1.1.1/b", "events": ["*"], "secret": CHOSEN_SECRET})["id"]
    told.post(f"/webhooks/{chosen}/test")
    issued = create_gateway("edge-1", by=SYSTEM)
    gateway, token = issued.resource, issued.secret
    told.secrets += [token, rotate_gateway_token(gateway, by=SYSTEM).secret]
    refused(alice)
    fan_out_events()
    return told


def refused(caller: Caller) -> None:
    """Send secrets to where they are refused: a refusal must not repeat them either."""
    misplaced = {"secret": CHOSEN_SECRET, "name": UNKNOWN_KEY, "url": "https://1.1.1.1", "events": [UNKNOWN_KEY]}
    assert caller.post(f"{TENANT}/webhooks", misplaced).status_code == 400
    headers = {"X-Stoa-Gateway-Token": UNKNOWN_KEY}
    assert caller.send("POST", "/v1/gateway/traffic", {"batch_id": "b", "records": []}, headers).status_code == 401


def spellings(secret: str) -> Iterator[str]:
    """Yield what a secret may look like: itself, without its prefix, and as bytes are written down."""
    bare = secret.rpartition("_")[2]
    yield bare
    yield bare.encode().hex()
    yield base64.b64encode(bare.encode()).decode().rstrip("=")[:-1]


def leaks(text: str, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets if any(spelling in text for spelling in spellings(secret))]


def dump() -> Iterator[tuple[str, str]]:
    """Yield each table of the database with all that is in it, as pg_dump writes it."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            with cursor.copy(sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(table))) as rows:
                yield table, b"".join(bytes(row) for row in rows).decode()


def test_the_search_finds_what_is_there() -> None:
    assert leaks(f"… {CHOSEN_SECRET} …", [CHOSEN_SECRET]) == [CHOSEN_SECRET]
    assert leaks(CHOSEN_SECRET.removeprefix("whsec_").encode().hex(), [CHOSEN_SECRET]) == [CHOSEN_SECRET]


def test_no_table_holds_a_secret(story: Story, realm: Grants) -> None:
    tables = dict(dump())

    assert len(set(story.secrets)) == len(story.secrets) >= 11
    assert tables.keys() >= {"stoa_cp_event", "stoa_cp_storedanswer", "apikeys_keysecret", "webhooks_delivery"}
    assert min(len(tables[name]) for name in ("stoa_cp_event", "stoa_cp_storedanswer", "webhooks_delivery")) > 100
    assert {name: leaks(text, story.secrets) for name, text in tables.items() if leaks(text, story.secrets)} == {}
    # Nor what came with the calls: bearer tokens, and the keys that the stored answers are encrypted under.
    token = realm.key.sign(access_claims(PEOPLE["alice"], realm.issuer))
    sent = [token.rpartition(".")[2], token.split(".")[1], "retry-2-/subscriptions"]
    assert [name for name, text in tables.items() if any(part in text for part in sent)] == []


def test_no_log_line_holds_a_secret(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("factory").setLevel(logging.INFO)  # the tests' own rows, not the product's
    story: Story = request.getfixturevalue("story")

    lines = [f"{record.name} {record.getMessage()}" for record in caplog.records]
    assert sum("request_finished" in line for line in lines) >= len(story.secrets)
    assert leaks("\n".join(lines), story.secrets) == []
    assert [line for line in lines if "Bearer ey" in line or "retry-2-" in line] == []


def test_no_page_of_the_console_holds_a_secret(story: Story) -> None:
    console = Client()
    console.force_login(User.objects.create_superuser("olga"), backend="stoa_cp.operators.passwords.PasswordBackend")
    models = [model for model in apps.get_models() if admin.site.is_registered(model)]
    seen = 0
    for model in models:
        rows = [row for row in model._default_manager.all()[:20] if not isinstance(row.pk, bytes | memoryview)]
        pages = [list_of(model), *map(page_of, rows)]
        for page in pages:
            response = console.get(page)
            assert response.status_code == 200, page
            assert leaks(response.content.decode(), story.secrets) == [], page
            seen += 1
    assert seen > len(models)


def test_no_read_shows_a_secret_again(story: Story) -> None:
    for name in ("subscriptions", "apikeys", "webhooks", "events"):
        page = story.caller.get(f"{TENANT}/{name}?limit=100")
        assert page.json()["items"]
        assert leaks(json.dumps(page.json()), story.secrets) == [], name


def test_no_refusal_repeats_a_secret(acme: Tenant, alice: Caller) -> None:
    for body in (
        {"secret": CHOSEN_SECRET},
        {"secret": f"{CHOSEN_SECRET}!"},
        {CHOSEN_SECRET: 1},
        {"secret": [CHOSEN_SECRET]},
    ):
        response = alice.post(f"{TENANT}/webhooks", {"url": "ftp://a", "events": ["*"]} | body)
        assert response.status_code == 400
        if CHOSEN_SECRET not in body:  # who makes a secret the name of a field is told which field
            assert leaks(response.content.decode(), [CHOSEN_SECRET]) == []
