"""Many keys revoked together: by ids, by a filter whose number is confirmed, and all of a tenant by a command."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from psycopg.errors import DeadlockDetected

from apikeys.models import ApiKey, KeySecret
from apikeys.services import revocations
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.errors import DomainError
from stoa_cp.eventlog.chain import first_broken_sequence
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.factories import ApiKeyFactory, SubscriptionFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

REVOKE = "/v1/tenants/acme/apikeys/revoke"


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


@pytest.fixture
def keys(subscription: Subscription) -> list[ApiKey]:
    return [ApiKeyFactory(subscription=subscription) for _key in range(3)]


def revoked_ids() -> set[str]:
    return set(ApiKey.objects.exclude(revoked_at=None).values_list("id", flat=True))


def moment(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_named_keys_are_revoked_and_each_is_told(dave: Caller, keys: list[ApiKey]) -> None:
    chosen = [keys[2].id, keys[0].id]

    response = dave.post(REVOKE, {"ids": chosen})

    assert response.json() == {
        "results": [{"index": index, "id": key_id, "status": 204} for index, key_id in enumerate(chosen)]
    }
    assert revoked_ids() == set(chosen)
    assert log.types() == ["apikey.revoked", "apikey.revoked"]
    assert [event.data["id"] for event in log.events()] == chosen
    assert all(event.actor == log.subject("dave") for event in log.events())
    assert first_broken_sequence(keys[0].tenant_id) is None
    assert dave.post("/v1/tenants/acme/explain", {"key_id": chosen[0], "path": "/acme/x"}).status_code == 200


def test_one_that_is_not_there_refuses_all(dave: Caller, keys: list[ApiKey]) -> None:
    stranger = ApiKeyFactory()
    dave.delete(f"/v1/tenants/acme/apikeys/{keys[0].id}")

    for wrong in (stranger.id, keys[0].id, "key-0000000000000000", "nonsense"):
        response = dave.post(REVOKE, {"ids": [keys[1].id, wrong]})
        assert refusal_of(response) == (404, "not_found", "ids.1", "not_found")

    assert revoked_ids() == {keys[0].id}


def test_a_filter_needs_the_number_that_a_dry_run_tells(dave: Caller, keys: list[ApiKey]) -> None:
    selected = {"subscription_id": keys[0].subscription_id}
    assert refusal_of(dave.post(REVOKE, selected)) == (400, "validation_error", "confirm", "required")

    dry = dave.post(f"{REVOKE}?dry_run=true", selected).json()["results"]
    assert ({result["id"] for result in dry}, revoked_ids()) == ({key.id for key in keys}, set())

    wrong = dave.post(REVOKE, selected | {"confirm": 2})
    assert refusal_of(wrong) == (409, "conflict", "confirm", "count_changed")
    assert "3" in wrong.json()["error"]["message"]
    assert revoked_ids() == set()

    assert dave.post(REVOKE, selected | {"confirm": 3}).status_code == 200
    assert revoked_ids() == {key.id for key in keys}
    assert dave.post(REVOKE, selected | {"confirm": 0}).json() == {"results": []}


def test_each_condition_selects(dave: Caller, acme: Tenant, keys: list[ApiKey]) -> None:
    old, used, other = keys
    ApiKey.objects.filter(pk__in=[old.pk, used.pk]).update(created_at=datetime.now(UTC) - timedelta(days=90))
    KeySecret.objects.filter(key=used).update(last_used_at=datetime.now(UTC) - timedelta(days=1))
    of_another_plan = ApiKeyFactory(subscription=SubscriptionFactory(tenant=acme, active=True))
    ApiKeyFactory()  # another tenant's

    def select(**conditions: Any) -> set[str]:
        results = dave.post(f"{REVOKE}?dry_run=true", conditions).json()["results"]
        return {result["id"] for result in results}

    assert select(created_before=moment(days=30)) == {old.id, used.id}
    assert select(unused_since=moment(days=30)) == {old.id}  # a key created since then had no time to be used
    assert select(unused_since=moment(hours=1)) == {old.id, used.id}
    assert select(plan=other.subscription.plan.slug) == {key.id for key in keys}
    assert select(subscription_id=of_another_plan.subscription_id) == {of_another_plan.id}
    assert select(plan=other.subscription.plan.slug, created_before=moment(days=30), unused_since=moment(days=30)) == {
        old.id
    }
    assert select(plan="unknown") == set()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"confirm": 3},
        {"ids": []},
        {"ids": None},
        {"ids": "key-0000000000000000"},
        {"ids": [1]},
        {"ids": [f"key-{number:016}" for number in range(1_001)]},
        {"ids": ["key-0000000000000000"], "plan": "standard"},
        {"plan": None, "confirm": 1},
        {"created_before": "yesterday", "confirm": 1},
        {"plan": "standard", "confirm": -1},
        {"plan": "standard", "confirm": "1"},
        {"plan": "standard", "confirm": True},
        {"everything": True},
    ],
)
def test_what_selects_nothing_certain_is_refused(dave: Caller, keys: list[ApiKey], body: dict[str, Any]) -> None:
    assert dave.post(REVOKE, body).status_code == 400
    assert revoked_ids() == set()


def test_a_filter_that_selects_too_many_is_refused(
    dave: Caller, keys: list[ApiKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "MAX_KEYS_AT_ONCE", 2)

    response = dave.post(REVOKE, {"subscription_id": keys[0].subscription_id, "confirm": 3})

    assert (response.status_code, revoked_ids()) == (400, set())


def test_a_thousand_take_a_bounded_number_of_statements(
    dave: Caller, subscription: Subscription, django_assert_max_num_queries: Any
) -> None:
    made = ApiKey.objects.bulk_create(
        ApiKey(tenant=subscription.tenant, subscription=subscription, name="key", start="x") for _key in range(1_000)
    )
    with django_assert_max_num_queries(20):
        response = dave.post(REVOKE, {"ids": [key.id for key in made]})

    assert (response.status_code, len(log.types()), len(revoked_ids())) == (200, 1_000, 1_000)


def test_the_right_is_that_of_a_single_revocation(victor: Caller, bob: Caller, keys: list[ApiKey]) -> None:
    assert refusal_of(victor.post(REVOKE, {"ids": [keys[0].id]})) == MISSING_ROLE
    assert refusal_of(bob.post(REVOKE, {"ids": [keys[0].id]})) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_two_sets_that_overlap_neither_deadlock_nor_revoke_twice(dave: Caller, subscription: Subscription) -> None:
    for _round in range(6):
        keys = [ApiKeyFactory(subscription=subscription).id for _key in range(12)]
        before = len(log.types())

        answers = at_once(
            partial(dave.post, REVOKE, {"ids": keys}),
            partial(dave.post, REVOKE, {"ids": keys[::-1]}),
            partial(dave.delete, f"/v1/tenants/acme/apikeys/{keys[5]}"),
        )

        statuses = sorted(answer.status_code for answer in answers)
        assert statuses in ([200, 404, 404], [204, 404, 404])
        assert len(log.types()) - before == (12 if statuses[0] == 200 else 1)


@pytest.mark.django_db(transaction=True)
def test_sets_lock_their_keys_in_one_order(subscription: Subscription) -> None:
    # The services themselves: over HTTP a write is repeated after a deadlock, which would hide one.
    for _round in range(3):
        keys = [ApiKeyFactory(subscription=subscription).id for _key in range(100)]
        revoke = partial(revocations.revoke_named_keys, subscription.tenant, by=SYSTEM)

        refused = at_once(*[partial(_refusal_by, revoke, ids) for ids in (keys, keys[::-1]) * 2])

        assert refused.count("") == 1
        assert DeadlockDetected.__name__ not in refused


def _refusal_by(revoke: Callable[[list[str]], object], ids: list[str]) -> str:
    try:
        revoke(ids)
    except DomainError as refusal:
        return type(refusal).__name__
    except OperationalError as refusal:  # on a busy machine also the end of the time for which a lock is waited for
        return type(refusal.__cause__).__name__
    return ""


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("revoke", *arguments, stdout=output)
    return output.getvalue()


def test_the_command_revokes_everything_in_portions(keys: list[ApiKey], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "MAX_KEYS_AT_ONCE", 2)
    stranger = ApiKeyFactory()

    output = run("--everything-of", "acme", "--confirm", "acme", "--as", "olga")

    assert output.splitlines() == ["2 keys are revoked.", "3 keys are revoked."]
    assert revoked_ids() == {key.id for key in keys}
    stranger.refresh_from_db()
    assert stranger.revoked_at is None
    assert run("--everything-of", "acme", "--confirm", "acme") == "The tenant has no keys.\n"


@pytest.mark.parametrize("typed", ["", "ACME", "yes", "globex"])
def test_the_name_must_be_typed(keys: list[ApiKey], monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr("builtins.input", lambda _question: typed)

    with pytest.raises(CommandError, match="Nothing was revoked"):
        run("--everything-of", keys[0].tenant_id)

    assert revoked_ids() == set()


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])  # no terminal; Ctrl-C
def test_without_an_answer_nothing_is_revoked(
    keys: list[ApiKey], monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    def stop(_question: str) -> str:
        raise end

    monkeypatch.setattr("builtins.input", stop)

    with pytest.raises(CommandError, match="Nothing was changed"):
        run("--everything-of", keys[0].tenant_id)

    assert revoked_ids() == set()
