"""The published event types: complete, and nothing else is emitted."""

from enum import StrEnum
from importlib import import_module

import pytest

import apikeys.services.keys
import catalog.services.apis
import subscriptions.services.plans
import subscriptions.services.subscriptions
import tenants.services
import webhooks.services
from tests.conftest import Caller
from tests.factories import ApiKeyFactory
from tests.webhooks.factories import WebhookFactory
from webhooks.event_types import ALL_EVENTS, TYPES, patterns, patterns_matching

APPS = ("tenants", "catalog", "subscriptions", "apikeys", "webhooks")
# What receivers were promised, name by name.
PUBLISHED = {
    "tenant": "created,activated,updated,suspended,resumed,deleted",
    "api": "created,updated,deprecated,deleted,upstream_refused,upstream_accepted",
    "plan": "created,updated,deleted",
    "subscription": "created,approved,rejected,suspended,resumed,revoked,expired,updated",
    "apikey": "created,updated,rotated,revoked,expiring,expired,leaked",
    "quota": "warning,exceeded",
    "webhook": "test,disabled",
}


# What an event tells beside the object itself.
MORE_MEMBERS = {"apikey.leaked": ["url", "source"]}


def test_the_catalogue_is_the_published_one() -> None:
    assert list(TYPES) == [f"{family}.{name}" for family, names in PUBLISHED.items() for name in names.split(",")]


def test_the_events_of_every_app_are_joined() -> None:
    enums = [
        kind
        for app in (*APPS, "stoa_cp.operators")
        for kind in vars(import_module(f"{app}.event_types")).values()
        if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum
    ]
    assert {event for kind in enums for event in kind} == ALL_EVENTS
    assert set(TYPES) < ALL_EVENTS


@pytest.mark.django_db
def test_the_examples_have_the_members_of_what_is_sent() -> None:
    key = ApiKeyFactory()
    webhook = WebhookFactory()
    sent = {
        "tenant": tenants.services.snapshot(key.tenant),
        "api": catalog.services.apis.snapshot(key.subscription.api),
        "plan": subscriptions.services.plans.snapshot(key.subscription.plan),
        "subscription": subscriptions.services.subscriptions.snapshot(key.subscription),
        "apikey": apikeys.services.keys.snapshot(key),
        "webhook": webhooks.services.snapshot(webhook),
    }
    for event_type in TYPES.values():
        if event_type.family in sent:
            members = [*sent[event_type.family], *MORE_MEMBERS.get(event_type.name, ())]
            assert list(event_type.data) == members, event_type.name


def test_patterns_are_names_families_and_everything() -> None:
    assert set(patterns()) == set(TYPES) | {f"{family}.*" for family in PUBLISHED} | {"*"}
    assert patterns_matching("subscription.approved") == ["subscription.approved", "subscription.*", "*"]


@pytest.mark.django_db
def test_it_is_served_with_an_example_body_each(victor: Caller, acme: object) -> None:
    answer = victor.get("/v1/event-types")
    assert answer.status_code == 200
    body = answer.json()
    assert body["total"] == len(body["items"]) == len(TYPES)
    for item in body["items"]:
        assert set(item) == {"type", "description", "example"}
        assert list(item["example"]) == ["id", "type", "timestamp", "tenant_id", "api_version", "data"]
        assert item["example"]["type"] == item["type"]
        assert item["description"]


@pytest.mark.django_db
def test_descriptions_come_in_french_names_do_not(victor: Caller, acme: object) -> None:
    items = victor.get("/v1/event-types", Accept_Language="fr").json()["items"]
    assert [item["type"] for item in items] == list(TYPES)


@pytest.mark.django_db
def test_strangers_see_nothing(anonymous: Caller) -> None:
    assert anonymous.get("/v1/event-types").status_code == 401
