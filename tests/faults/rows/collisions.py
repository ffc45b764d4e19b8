"""Creations, approvals and deletions that collide over several web processes: R1, R2 and R5."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from django.db.models import Count, Model, QuerySet

from apikeys.models import ApiKey
from catalog.models import Api
from stoa_cp.eventlog.models import Event
from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory
from tests.faults.crowd import crowd, post_at_once
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import World
from tests.races import at_once
from webhooks.models import Webhook

CROWD, ROUNDS = 20, 30
DELETIONS = 50
UPSTREAM = "https://198.51.100.7"


@dataclass(frozen=True, slots=True)
class Creation:
    """What is asked for, and the rows that may come of it; ``path`` is below ``/v1``."""

    path: str
    body: dict[str, Any]
    rows: QuerySet[Any]


def twins(tenant: Tenant, number: int) -> Creation:
    """Return something that there can be one of: a tenant, an API, a plan and a subscription in turn."""
    name, inside = f"twin-{number}", f"/tenants/{tenant.id}"
    api, plan = ApiFactory(tenant=tenant), PlanFactory(tenant=tenant)
    person = {"name": name, "tier": "starter", "admin_email": "admin@example.com", "region": "us-east-1"}
    asked = {"api_id": api.id, "plan": plan.slug, "application": name}
    return (
        Creation("/tenants", person, Tenant.objects.filter(name=name)),
        Creation(f"{inside}/apis", an_api(name), Api.objects.filter(tenant=tenant, name=name)),
        Creation(f"{inside}/plans", {"slug": name, "name": "Twin"}, Plan.objects.filter(tenant=tenant, slug=name)),
        Creation(f"{inside}/subscriptions", asked, Subscription.objects.filter(api=api)),
    )[number % 4]


def an_api(name: str) -> dict[str, Any]:
    return {"name": name, "path": f"/{name}", "upstream_url": UPSTREAM}


@injects(
    Fault(
        "R1",
        f"{CROWD} simultaneous identical creates × {ROUNDS}",
        "of a tenant, an API, a plan and a subscription in turn, at two servers with two processes each",
        "one 201 each, the rest 409 `duplicate`; rows 1 each",
        "tests/catalog/test_register.py",
    )
)
def create_twins(world: World) -> Measured:
    tenant = world.tenant()
    outcomes: Counter[str] = Counter()
    exact = 0
    with crowd(world, CROWD) as callers:
        for number in range(ROUNDS):
            twin = twins(tenant, number)
            codes = Counter(map(outcome, post_at_once(callers, twin.path, twin.body)))
            outcomes.update(codes)
            exact += codes == {"201": 1, "409 duplicate": CROWD - 1} and twin.rows.count() == 1
    return Measured(f"{dict(outcomes)}; one 201 and one row in {exact} rounds of {ROUNDS}", held=exact == ROUNDS)


def outcome(call: Call) -> str:
    """Return the status of an answer, and the code of a refusal's first detail."""
    if call.status < HTTPStatus.BAD_REQUEST:
        return str(call.status)
    details = call.json["error"]["details"]
    return f"{call.status} {details[0]['code'] if details else ''}".strip()


@injects(
    Fault(
        "R2",
        f"{CROWD} simultaneous approvals × {ROUNDS}",
        "at the same instant, at two servers with two processes each",
        "one 200 each, the rest 409 `wrong_state`; one key each, whose secret the 200 shows",
        "tests/subscriptions/test_approve.py",
    )
)
def approve_at_once(world: World) -> Measured:
    pending = SubscriptionFactory.create_batch(ROUNDS, tenant=world.tenant())
    outcomes: Counter[str] = Counter()
    exact = 0
    with crowd(world, CROWD) as callers:
        for subscription in pending:
            path = f"/tenants/{subscription.tenant_id}/subscriptions/{subscription.id}/approve"
            calls = post_at_once(callers, path, {})
            codes = Counter(map(outcome, calls))
            outcomes.update(codes)
            exact += codes == {"200": 1, "409 wrong_state": CROWD - 1} and is_shown_the_key(calls, subscription)
    most = ApiKey.objects.filter(subscription__in=pending).values("subscription").annotate(n=Count("pk")).order_by("-n")
    return Measured(
        f"{dict(outcomes)}; one 200 and one key in {exact} rounds of {ROUNDS}; keys ≤ {most[0]['n']}",
        held=exact == ROUNDS and most[0]["n"] == 1,
    )


def is_shown_the_key(calls: list[Call], subscription: Subscription) -> bool:
    """Tell whether the only key begins as the secret in the one success does."""
    shown = [call.json["api_key"] for call in calls if call.status == HTTPStatus.OK]
    starts = [key.start.rstrip("…") for key in ApiKey.objects.filter(subscription=subscription)]
    return len(starts) == len(shown) == 1 and shown[0].startswith(starts[0])


def births(tenant: Tenant) -> list[tuple[type[Model], str, dict[str, Any]]]:
    """Return everything that can be created in a tenant: what is born, where (in the tenant), and what is sent."""
    api, plan = ApiFactory(tenant=tenant), PlanFactory(tenant=tenant)
    pending, active = SubscriptionFactory(tenant=tenant), SubscriptionFactory(tenant=tenant, active=True)
    document = {"openapi": "3.1.0", "info": {"title": "Orders", "version": "v1"}, "servers": [{"url": UPSTREAM}]}
    return [
        (Api, "/apis", an_api("payments")),
        (Api, "/apis/import", document),
        (Plan, "/plans", {"slug": "gold", "name": "Gold"}),
        (Subscription, "/subscriptions", {"api_id": api.id, "plan": plan.slug, "application": "app"}),
        (ApiKey, f"/subscriptions/{pending.id}/approve", {}),
        (ApiKey, "/apikeys", {"subscription_id": active.id, "name": "key"}),
        (Webhook, "/webhooks", {"url": "http://127.0.0.1:8999/hook", "events": ["*"]}),
    ]


@injects(
    Fault(
        "R5",
        f"delete tenant ∥ create anything in it × {DELETIONS}",
        "APIs, an import, a plan, a subscription, an approval, a key, a webhook and the deletion at the same instant, "
        "at two servers with two processes each",
        "orphans 0: as many rows as successes, no event after the deletion's; no 5xx",
        "tests/tenants/test_delete.py",
    )
)
def delete_under_creations(world: World) -> Measured:
    outcomes: Counter[int] = Counter()
    orphans = late = deleted = 0
    with crowd(world, 8) as callers:
        for _round in range(DELETIONS):
            tenant = world.tenant()
            created, deletion, surplus = _create_and_delete(callers, tenant)
            outcomes.update(call.status for call in created)
            deleted += deletion.status == HTTPStatus.NO_CONTENT
            orphans += surplus
            late += Event.objects.filter(tenant_id=tenant.id).latest("sequence").type != "tenant.deleted"
    is_a_race = min(outcomes[HTTPStatus.CREATED], outcomes[HTTPStatus.NOT_FOUND]) > 0
    return Measured(
        f"creations {dict(sorted(outcomes.items()))}, deletions {deleted}; orphans {orphans}, rounds with later events "
        f"{late}",
        held=deleted == DELETIONS and orphans == late == 0 and is_a_race and set(outcomes) <= {200, 201, 404},
    )


def _create_and_delete(callers: list[Caller], tenant: Tenant) -> tuple[list[Call], Call, int]:
    """Return what came of the creations and of the deletion, and how many rows more there are than successes."""
    wanted, path = births(tenant), f"/tenants/{tenant.id}"
    models = {model for model, _where, _body in wanted}
    before = _count(models, tenant)
    creations = [
        partial(caller.post, f"{path}{where}", body)
        for caller, (_model, where, body) in zip(callers[:-1], wanted, strict=True)
    ]
    *created, deletion = at_once(*creations, partial(callers[-1].send, "DELETE", path), connects=False)
    successes = sum(call.status in (HTTPStatus.OK, HTTPStatus.CREATED) for call in created)
    return created, deletion, abs(_count(models, tenant) - before - successes)


def _count(models: set[type[Model]], tenant: Tenant) -> int:
    return sum(model._default_manager.filter(tenant=tenant).count() for model in models)
