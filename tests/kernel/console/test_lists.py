"""Every model has a list that shows its rows, in as many queries for many rows as for few."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import CompositePrimaryKey, Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apikeys.models import ApiKey, KeySecret
from catalog.models import Api, Gateway
from catalog.services.gateways import create_gateway
from metrics.models import Series, TrafficBatch, TrafficDelta
from stoa_cp.caching.models import CacheLease
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import ActorName, Event, EventChain, OutboxEntry
from stoa_cp.identity.models import SigningKeySet
from stoa_cp.ratelimit.models import Counter
from stoa_cp.rest.models import IdempotencyRecord
from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests.factories import ApiKeyFactory
from tests.kernel.console.pages import list_of, page_of
from tests.metrics.traffic import fold_all, record_of, report
from tests.webhooks.factories import DeliveryFactory, an_event
from webhooks.models import Attempt, Delivery, Replay, Webhook

pytestmark = pytest.mark.django_db

PRODUCT = ("stoa_cp", "tenants", "catalog", "subscriptions", "apikeys", "metrics", "webhooks")
# Session, user, pending approvals; then the list's own: two counts where it counts, and its rows.
COUNTED, UNCOUNTED = 6, 4
QUERIES: dict[type[Model], int] = {
    User: COUNTED,
    Tenant: COUNTED + 1,  # the regions to filter by
    Api: UNCOUNTED,
    Gateway: COUNTED,
    Plan: COUNTED,
    Subscription: UNCOUNTED,
    ApiKey: UNCOUNTED,
    KeySecret: UNCOUNTED,
    EventChain: COUNTED,
    SigningKeySet: COUNTED,
    ActorName: UNCOUNTED,
    Event: UNCOUNTED,
    OutboxEntry: UNCOUNTED,
    Counter: UNCOUNTED,
    CacheLease: UNCOUNTED,
    IdempotencyRecord: UNCOUNTED,
    TrafficBatch: UNCOUNTED,
    TrafficDelta: UNCOUNTED,
    Series: UNCOUNTED,
}
# A stored answer has nothing more to show than its line in the list.
WITH_PAGES = [model for model in QUERIES if model is not IdempotencyRecord]


def add_rows(times: int) -> None:
    """Add ``times`` rows or more to every table that has a list."""
    subscriptions = [ApiKeyFactory().subscription for _time in range(times)]
    for subscription in subscriptions:
        report(record_of(subscription))
    fold_all()
    for subscription in subscriptions:
        report(record_of(subscription))
        add_records(an_event(subscription.tenant))


def add_records(event: Event) -> None:
    """Add what is made under a name of its own, or at a time: the event's."""
    name, now = event.id, event.timestamp
    ActorName.objects.create(id=name, name="Alice")
    delivery = DeliveryFactory()
    Replay.objects.create(
        webhook=delivery.webhook, tenant=delivery.tenant, since=now, until=now, next_sequence=1, last_sequence=1
    )
    Attempt.objects.create(delivery=delivery, number=1, attempted_at=now, duration_ms=7)
    create_gateway(name, by=SYSTEM)
    User.objects.create_user(name)
    Counter.objects.create(key=name, value=1)
    CacheLease.objects.create(confirmed_epoch=1, valid_until=now)
    SigningKeySet.objects.create(issuer=f"https://{name}.example.com", document={}, fetched_at=now)
    IdempotencyRecord.objects.create(
        digest=name.encode(), body_digest=b"", status=201, headers={}, content=b"", created_at=now
    )


def open_list(client: Client, model: type[Model]) -> tuple[Any, int]:
    """Return a list's page and how many queries it took."""
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = client.get(list_of(model))
    return response, len(queries)


@pytest.mark.parametrize("model", QUERIES, ids=lambda model: model._meta.label_lower)
def test_a_list_shows_its_rows_in_a_fixed_number_of_queries(console: Client, model: type[Model]) -> None:
    add_rows(1)
    _first, few = open_list(console, model)
    add_rows(3)

    response, many = open_list(console, model)

    assert response.status_code == 200
    assert len(response.context["cl"].result_list) == model._default_manager.count() >= 3
    assert (few, many) == (QUERIES[model], QUERIES[model])


@pytest.mark.parametrize("model", [Webhook, Delivery, Replay], ids=lambda model: model._meta.label_lower)
def test_the_webhooks_lists_need_no_query_per_row(console: Client, model: type[Model]) -> None:
    add_rows(1)
    _first, few = open_list(console, model)
    add_rows(3)

    response, many = open_list(console, model)

    assert len(response.context["cl"].result_list) == 4
    assert many == few


@pytest.mark.parametrize("model", [*WITH_PAGES, Webhook, Delivery, Replay], ids=lambda model: model._meta.label_lower)
def test_every_row_has_a_page(console: Client, model: type[Model]) -> None:
    add_rows(1)

    response = console.get(page_of(model._default_manager.all()[0]))

    assert response.status_code == 200


def test_every_model_of_ours_is_in_the_console() -> None:
    models = {model for label in PRODUCT for model in apps.get_app_config(label).get_models()}
    # Django's admin takes no composite primary key; attempts are shown with their delivery.
    excused = {model for model in models if isinstance(model._meta.pk, CompositePrimaryKey)} | {Attempt}

    assert {model._meta.label for model in models - excused if not admin.site.is_registered(model)} == set()


@pytest.mark.parametrize("model", WITH_PAGES, ids=lambda model: model._meta.label_lower)
def test_only_users_are_edited_in_forms(console: Client, model: type[Model]) -> None:
    add_rows(1)
    response = console.get(page_of(model._default_manager.all()[0]))

    may_edit = {name: response.context[f"has_{name}_permission"] for name in ("add", "change", "delete")}

    assert may_edit == dict.fromkeys(("add", "change", "delete"), model is User)


def test_a_deleted_tenants_things_are_hidden_unless_asked_for(console: Client) -> None:
    key = ApiKeyFactory()
    key.tenant.status, key.tenant.deleted_at = "deleted", key.created_at
    key.tenant.save()

    for model in (Tenant, Api, Plan, Subscription, ApiKey):
        assert list(console.get(list_of(model)).context["cl"].result_list) == []
        asked_for = console.get(list_of(model), {"deleted": "yes"}).context["cl"].result_list
        assert list(asked_for) == list(model._default_manager.all())


def test_no_list_and_no_page_shows_a_digest_or_a_secret(console: Client) -> None:
    key = ApiKeyFactory(current_secret="stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8")
    issued = create_gateway("edge-1", by=SYSTEM)
    gateway, token = issued.resource, issued.secret
    secret = key.secrets.get()
    pages = [list_of(ApiKey), list_of(KeySecret), list_of(Gateway), page_of(key), page_of(secret), page_of(gateway)]

    shown = "".join(console.get(page).content.decode() for page in pages)

    for hidden in (bytes(secret.digest), bytes(gateway.token_digest)):
        assert hidden.hex() not in shown
        assert repr(hidden) not in shown
    assert token not in shown
    assert "abcd0WldG8" not in shown
