"""Registering a webhook, and reading it back."""

import pytest
from pytest_django import Settings

from stoa_cp.crypto.encryption import decrypt
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, NOT_FOUND, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.log import last_event, subject, whole_log
from tests.races import at_once
from tests.webhooks.factories import WebhookFactory
from webhooks.delivery.signing import parse_secret
from webhooks.event_types import patterns
from webhooks.models import Webhook
from webhooks.services import MAX_WEBHOOKS_PER_TENANT

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("acme")]

PATH = "/v1/tenants/acme/webhooks"
STRONG = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# The specification's own example.
WEBHOOK = {
    "url": "https://myapp.com/webhooks/stoa",
    "events": ["subscription.created", "subscription.approved"],
    "secret": "whsec_abc123",
}


def test_the_specifications_example_is_created(alice: Caller) -> None:
    answer = alice.post(PATH, WEBHOOK)
    assert answer.status_code == 201
    body = answer.json()
    assert {name: body[name] for name in ("url", "events", "status", "description", "disabled_reason")} == {
        "url": WEBHOOK["url"],
        "events": WEBHOOK["events"],
        "status": "enabled",
        "description": "",
        "disabled_reason": "",
    }
    assert answer["Location"] == f"{PATH}/{body['id']}"
    assert answer["Cache-Control"] == "no-store"


def test_its_weak_secret_is_accepted_with_a_warning(alice: Caller) -> None:
    body = alice.post(PATH, WEBHOOK).json()
    assert (body["secret_strength"], body["secret_hint"]) == ("weak", "whsec_…")
    assert body["warning"].startswith("The secret is shorter than 24 bytes")
    assert parse_secret(body["secret"]) == parse_secret("whsec_abc123")


def test_a_strong_secret_is_kept_without_a_word(alice: Caller) -> None:
    body = alice.post(PATH, WEBHOOK | {"secret": STRONG}).json()
    assert (body["secret"], body["secret_strength"], body["secret_hint"]) == (STRONG, "strong", "whsec_…LaSw")
    assert "warning" not in body


def test_without_a_secret_one_is_made(alice: Caller) -> None:
    body = alice.post(PATH, {"url": WEBHOOK["url"], "events": ["*"]}).json()
    assert len(parse_secret(body["secret"])) == 32
    assert body["secret_strength"] == "strong"


def test_the_secret_is_shown_once_and_stored_encrypted(alice: Caller) -> None:
    created = alice.post(PATH, WEBHOOK | {"secret": STRONG}).json()
    read = alice.get(f"{PATH}/{created['id']}")
    assert read.json() == {name: value for name, value in created.items() if name != "secret"}
    key = STRONG.removeprefix("whsec_")
    assert key not in f"{read.content}{alice.get(PATH).content}{whole_log()}"
    stored = Webhook.objects.get()
    assert key.encode() not in bytes(stored.secret)
    assert decrypt(stored.secret) == STRONG


def test_the_creation_is_in_the_audit_trail(alice: Caller) -> None:
    created = alice.post(PATH, WEBHOOK).json()
    event = last_event()
    assert (event.type, event.actor, event.data["id"]) == ("webhook.created", subject("alice"), created["id"])


@pytest.mark.parametrize("events", [["*"], ["subscription.*", "webhook.test"], list(patterns())])
def test_every_published_pattern_can_be_subscribed_to(alice: Caller, events: list[str]) -> None:
    assert alice.post(PATH, WEBHOOK | {"events": events}).json()["events"] == events


def test_a_pattern_said_twice_is_kept_once(alice: Caller) -> None:
    body = alice.post(PATH, WEBHOOK | {"events": ["api.created", "*", "api.created"]}).json()
    assert body["events"] == ["api.created", "*"]


@pytest.mark.parametrize(
    "event", ["subscription.creation", "subscriptions.*", "", "**", "*.created", "webhook.created"]
)
def test_an_unknown_event_is_refused_with_the_known_ones(alice: Caller, event: str) -> None:
    answer = alice.post(PATH, WEBHOOK | {"events": ["api.created", event]})
    assert answer.status_code == 400
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"] == "events.1"
    if event:
        assert all(name in detail["message"] for name in ("subscription.approved", "subscription.*", "tenant.deleted"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": None}, "url"),
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"url": "ftp://myapp.com/"}, "url"),
        ({"url": "https://127.0.0.1\\@evil.example/"}, "url"),
        ({"url": "https://169.254.169.254/"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": " https://myapp.com/"}, "url"),
        ({"url": "https://myapp.com/" + "a" * 2048}, "url"),
        ({"events": []}, "events"),
        ({"events": None}, "events"),
        ({"events": "*"}, "events"),
        ({"events": {"0": "*"}}, "events"),
        ({"events": [7]}, "events.0"),
        ({"events": [["*"]]}, "events.0"),
        ({"events": ["*"] * 100}, "events"),
        ({"secret": ""}, "secret"),
        ({"secret": None}, "secret"),
        ({"secret": 7}, "secret"),
        ({"secret": "whsec_"}, "secret"),
        ({"secret": "whsec_abcde"}, "secret"),
        ({"secret": "not base64!"}, "secret"),
        ({"secret": "A" * 300}, "secret"),
        ({"description": 7}, "description"),
        ({"description": "x" * 501}, "description"),
        ({"status": "enabled"}, "status"),
        ({"id": "whk-0000000000000000"}, "id"),
        ({"filter": "*"}, "filter"),
    ],
)
def test_a_bad_field_is_refused_by_name(alice: Caller, change: dict[str, object], field: str) -> None:
    answer = alice.post(PATH, WEBHOOK | change)
    assert answer.status_code == 400
    assert list(refused_fields(answer)) == [field]
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("missing", ["url", "events"])
def test_url_and_events_are_required(alice: Caller, missing: str) -> None:
    body = {name: value for name, value in WEBHOOK.items() if name != missing}
    assert refusal_of(alice.post(PATH, body)) == invalid(missing, "required")


def test_http_is_refused_where_operators_did_not_allow_it(alice: Caller, settings: Settings) -> None:
    assert alice.post(PATH, WEBHOOK | {"url": "http://myapp.com/"}).status_code == 201
    settings.STOA_ALLOW_HTTP_WEBHOOKS = False
    assert refusal_of(alice.post(PATH, WEBHOOK | {"url": "http://myapp.com/"})) == invalid("url")


def test_the_21st_is_refused(alice: Caller, acme: Tenant, globex: Tenant) -> None:
    WebhookFactory.create_batch(3, tenant=globex)
    webhooks = WebhookFactory.create_batch(MAX_WEBHOOKS_PER_TENANT, tenant=acme)
    answer = alice.post(PATH, WEBHOOK)
    assert refusal_of(answer) == (409, "conflict", "", "limit_reached")
    assert alice.delete(f"{PATH}/{webhooks[0].id}").status_code == 204
    assert alice.post(PATH, WEBHOOK).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_no_more_than_twenty_succeed(alice: Caller, acme: Tenant) -> None:
    """Remove the tenant's lock and the count is exceeded."""
    WebhookFactory.create_batch(MAX_WEBHOOKS_PER_TENANT - 2, tenant=acme)
    answers = at_once(*[lambda: alice.post(PATH, WEBHOOK).status_code] * 6)
    assert sorted(answers) == [201, 201, 409, 409, 409, 409]


def test_a_dry_run_leaves_nothing(alice: Caller) -> None:
    assert alice.post(f"{PATH}?dry_run=true", WEBHOOK).status_code == 201
    assert not Webhook.objects.exists()


def test_who_may(dave: Caller, victor: Caller, bob: Caller, anonymous: Caller) -> None:
    assert dave.post(PATH, WEBHOOK).status_code == 201
    assert refusal_of(victor.post(PATH, WEBHOOK)) == MISSING_ROLE
    assert refusal_of(bob.post(PATH, WEBHOOK)) == NOT_FOUND
    assert anonymous.post(PATH, WEBHOOK).status_code == 401
    assert Webhook.objects.count() == 1


def test_readers_read_them_newest_first(victor: Caller, acme: Tenant, globex: Tenant) -> None:
    old, new = WebhookFactory.create_batch(2, tenant=acme)
    WebhookFactory(tenant=globex)
    items = victor.get(PATH).json()["items"]
    assert [item["id"] for item in items] == [new.id, old.id]
    assert victor.get(f"{PATH}/{old.id}").json() == items[1]


def test_a_strangers_webhook_is_not_found(alice: Caller, globex: Tenant) -> None:
    webhook = WebhookFactory(tenant=globex)
    for path in (f"{PATH}/{webhook.id}", f"{PATH}/{webhook.id}/deliveries", f"{PATH}/whk-nonsense"):
        assert refusal_of(alice.get(path)) == NOT_FOUND
    for path in ("test", "rotate-secret", "replay"):
        assert refusal_of(alice.post(f"{PATH}/{webhook.id}/{path}", {})) == NOT_FOUND
    assert refusal_of(alice.patch(f"{PATH}/{webhook.id}", {"description": "mine"})) == NOT_FOUND
    assert refusal_of(alice.delete(f"{PATH}/{webhook.id}")) == NOT_FOUND
