"""The response examples of the OpenAPI document are true: real answers have the same shape."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apikeys.models import ApiKey, KeySecret
from catalog.models import Api, Gateway
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.checkpoints import sign_new_events
from stoa_cp.eventlog.emit import emit
from stoa_cp.openapi.views import OPENAPI_PATH
from subscriptions.models import Subscription
from tests.conftest import Caller
from tests.contract.operations import KEY, ORIGINAL, PREPARED, TABLE, TENANT, WEBHOOK, filled
from tests.contract.shapes import Shapes, unseen
from tests.contract.world import build_world
from tests.factories import ApiKeyFactory
from tests.metrics.traffic import fold_all, record_of, report
from webhooks.models import Attempt

pytestmark = pytest.mark.django_db

DOCUMENT: dict[str, Any] = json.loads(OPENAPI_PATH.read_text())
SHAPES = Shapes(DOCUMENT)
SECRET = "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"
CALLBACK = "https://1.1.1.1/callback"
NEXT_YEAR = (timezone.now() + timedelta(days=365)).isoformat()
ALLOWED = {"allowed_ips": ["198.51.100.0/24"], "allowed_methods": ["GET"], "allowed_paths": ["/"]}

Operation = tuple[str, str]

# What an answer needs to show as much as its example, besides the body of the table.
MORE: dict[Operation, dict[str, Any]] = {
    ("post", f"{TENANT}/apis"): {"rate_limit": {"requests_per_hour": 1_000}, "sandbox_url": "https://1.1.1.1/sandbox"},
    ("post", f"{TENANT}/plans"): {"rate_limit": 1_000, "quota": 50_000},
    ("post", f"{TENANT}/subscriptions"): {"callback_url": CALLBACK},
    ("post", f"{TENANT}/apikeys"): {"expires_at": NEXT_YEAR} | ALLOWED,
    ("post", f"{TENANT}/explain"): {"path": "/acme/status", "key_id": "{key_id}"},  # another API's path: denied
    ("post", "/v1/gateways"): {"allowed_ips": ["198.51.100.0/24"], "tenants": ["acme"]},
    ("post", "/v1/gateway/keys/verify"): {
        "key": SECRET,
        "path": "/acme/payments/1",
        "method": "GET",
        "address": "198.51.100.7",
    },
    ("post", "/v1/gateway/traffic"): {"records": [{"timestamp": "2020-01-01T00:00:00Z"}]},
}
# What is done before, so that there is something to do.
BEFORE: dict[Operation, Operation] = {
    ("post", f"{TENANT}/resume"): ("post", f"{TENANT}/suspend"),
    ("post", f"{KEY}/rotate/finish"): ("post", f"{KEY}/rotate"),
}
# Values that an answer of the operation itself never shows.
NEVER_SHOWN = {
    f"{WEBHOOK}/test": [".attempts"],  # it answers before the first attempt
    f"{TENANT}/apis/import": [".rate_limit.requests_per_hour", ".sandbox_url"],  # an OpenAPI document has neither
}


def response_examples() -> Iterator[tuple[str, tuple[Operation, dict[str, Any], Any]]]:
    """Yield the name of each example of an answer in JSON, and its operation, its schema and its value."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            for content in (answer.get("content", {}).get("application/json", {}) for answer in answers):
                for name, example in content.get("examples", {}).items():
                    yield f"{method} {path} {name}", ((method, path), content["schema"], example["value"])


EXAMPLES = dict(response_examples())


@pytest.fixture
def world(db: None) -> dict[str, str]:
    """The world, with values in all fields that may be null, and with traffic."""
    world = build_world()
    active = Subscription.objects.get(pk=world["active_subscription_id"])
    key = ApiKeyFactory(subscription=active, current_secret=SECRET)
    now = timezone.now()
    ApiKey.objects.update(expires_at=NEXT_YEAR, **ALLOWED)
    KeySecret.objects.update(last_used_at=now)
    Api.objects.update(requests_per_hour=1_000, sandbox_url="https://1.1.1.1/sandbox")
    Gateway.objects.update(last_seen_at=now, allowed_ips=["198.51.100.0/24"], tenants=[world["tenant_id"]])
    Subscription.objects.update(callback_url=CALLBACK, rate_limit=1_000, quota=50_000)
    sent = {"attempted_at": now, "duration_ms": 87, "response_status": 503, "error": "http_error"}
    Attempt.objects.create(delivery_id=world["delivery_id"], number=1, **sent)
    report(*map(record_of, Subscription.objects.all()))
    fold_all()
    with transaction.atomic():
        emit("tenant.updated", tenant_id=world["tenant_id"], actor=SYSTEM, data={})
    sign_new_events()  # makes the checkpoint of a verification
    return world | {"key_id": key.id}


def answer_of(caller: Caller, operation: Operation, world: dict[str, str]) -> Any:
    """Return what the operation answers with 2xx."""
    method, path = operation
    if operation in BEFORE:
        answer_of(caller, BEFORE[operation], world)
    if path in PREPARED:
        world = world | {"subscription_id": world[PREPARED[path]]}
    body = TABLE[operation][1]
    if operation in MORE:
        body = body | MORE[operation]
    headers = ORIGINAL | {"Accept": "application/json"}  # heads of the event log are lines otherwise
    response = caller.send(method.upper(), path.format(**world), filled(body, world), headers)
    assert 200 <= response.status_code < 300, response.content
    return response.json()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_the_shape_of_the_answer(name: str, world: dict[str, str], alice: Caller, olga: Caller) -> None:
    operation, schema, value = EXAMPLES[name]
    caller = alice if "alice" in TABLE[operation][0] else olga

    real = answer_of(caller, operation, world)

    assert list(SHAPES.differences(value, real, schema)) == []
    assert sorted(unseen(value, real)) == NEVER_SHOWN.get(operation[1], [])
