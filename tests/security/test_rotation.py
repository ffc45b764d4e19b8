"""The guide's "Rotate a secret", step by step: nothing fails on the way, or after the old secret is gone."""

import base64
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.test import Client
from pytest_django import Settings
from standardwebhooks import Webhook as Verifier

from catalog.authentication import load_gateway
from catalog.services.gateways import create_gateway, delete_gateway
from stoa_cp.crypto.encryption import decrypt
from stoa_cp.db.runtime_role import prepare_runtime_role
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.commands import refusal_of_command, run
from tests.conftest import Caller
from tests.factories import SubscriptionFactory
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import SECRET, WebhookFactory, an_event
from tests.webhooks.receivers import Receiver
from webhooks.delivery.send import _signing_key
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db

NEW_SECRET_KEY = "a-new-secret-key-0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def test_a_secret_key(alice: Caller, console: Client, acme: Tenant, settings: Settings) -> None:
    approval = f"/v1/tenants/acme/subscriptions/{SubscriptionFactory(tenant=acme).id}/approve"
    other = f"/v1/tenants/acme/subscriptions/{SubscriptionFactory(tenant=acme).id}/approve"
    old = settings.SECRET_KEY
    answer = alice.post(approval, {}, Idempotency_Key="before").content

    settings.SECRET_KEY_FALLBACKS = [NEW_SECRET_KEY]  # the first restart
    assert alice.post(approval, {}, Idempotency_Key="before").content == answer
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_SECRET_KEY, [old]  # the second one, of this process
    assert alice.post(approval, {}, Idempotency_Key="before").content == answer
    later = alice.post(other, {}, Idempotency_Key="later").content
    assert console.get("/admin/").status_code == 200

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = old, [NEW_SECRET_KEY]  # a process that had only the first
    assert alice.post(other, {}, Idempotency_Key="later").content == later
    assert console.get("/admin/").status_code == 200

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_SECRET_KEY, [old]
    assert console.get("/admin/").status_code == 200
    settings.SECRET_KEY_FALLBACKS = []  # after a day
    assert alice.post(other, {}, Idempotency_Key="later").content == later
    assert console.get("/admin/").status_code == 200


def test_an_encryption_key(acme: Tenant, receiver: Receiver, drain: Drain, settings: Settings) -> None:
    settings.STOA_ALLOW_HTTP_WEBHOOKS, settings.STOA_EGRESS_ALLOW = True, ["127.0.0.0/8"]
    (old,), new = settings.STOA_ENCRYPTION_KEYS, Fernet.generate_key().decode()
    webhook = WebhookFactory(tenant=acme, url=receiver.url)

    def deliveries_after_restart(*keys: str) -> int:
        settings.STOA_ENCRYPTION_KEYS = list(keys)
        _signing_key.cache_clear()
        received = len(receiver.received)
        an_event(acme)
        drain()
        for request in receiver.received[received:]:
            Verifier(SECRET).verify(request.body, dict(request.headers))
        return len(receiver.received) - received

    assert [deliveries_after_restart(*keys) for keys in ([old], [old, new], [new, old])] == [1, 1, 1]
    assert deliveries_after_restart(new) == 0  # too early: the command has not run
    Delivery.objects.pending().delete()
    assert deliveries_after_restart(new, old) == 1
    assert run("rotate_encryption_key")[-1] == "1 secrets are under the newest key."
    assert deliveries_after_restart(new) == 1
    webhook.refresh_from_db()
    assert decrypt(webhook.secret) == SECRET


def test_an_audit_key(acme: Tenant, settings: Settings, tmp_path: Path) -> None:
    heads, keys = tmp_path / "heads.jsonl", tmp_path / "keys.pem"
    old, new = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n"))
    for seeds in ([old], [new, old], [new]):
        settings.STOA_AUDIT_KEYS = seeds
        an_event(acme)
        run("export_heads", "--output", str(heads))
        with keys.open("a") as file:
            file.writelines(f"{line}\n" for line in run("export_heads", "--public-keys"))

    assert "of another deployment" in refusal_of_command("check_chain", "--against", str(heads))
    checked = run("check_chain", "--against", str(heads), "--public-keys", str(keys))
    assert checked == ["1 chains are whole.", "3 signed heads fit."]


def test_a_token_for_metrics(settings: Settings) -> None:
    old, new = "the-old-token-of-prometheus-8796a5b4", "the-new-token-of-prometheus-0f1e2d3c"

    def statuses() -> list[int]:
        sent = ({"Authorization": f"Bearer {token}"} for token in (old, new))
        return [Client().get("/metrics", headers=headers).status_code for headers in sent]

    settings.STOA_METRICS_TOKEN = [old]
    assert statuses() == [200, 401]
    settings.STOA_METRICS_TOKEN = [old, new]
    assert statuses() == [200, 200]
    settings.STOA_METRICS_TOKEN = [new]
    assert statuses() == [401, 200]


def test_a_gateways_token_with_an_overlap() -> None:
    old = create_gateway("edge-1", by=SYSTEM)
    new = create_gateway("edge-1-b", by=SYSTEM)
    assert load_gateway(old.secret)
    assert load_gateway(new.secret)

    delete_gateway(old.resource, by=SYSTEM)
    assert load_gateway(old.secret) is None
    assert load_gateway(new.secret)


def test_a_database_password_by_a_second_role(acme: Tenant) -> None:
    def names_as(role: str) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {role}")
            names = list(Tenant.objects.values_list("name", flat=True))
            cursor.execute("RESET ROLE")
        return names

    prepare_runtime_role("rotated_role_a", "password-a")
    prepare_runtime_role("rotated_role_b", "password-b")
    assert names_as("rotated_role_a") == names_as("rotated_role_b") == ["acme"]

    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY rotated_role_a; DROP ROLE rotated_role_a")
    assert names_as("rotated_role_b") == ["acme"]
