"""Rotating an API key: a new secret, the old one for a while."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide
from apikeys.models import ApiKey, KeySecret
from apikeys.services import keys
from apikeys.services.revocations import revoke_key
from stoa_cp.crypto.credentials import digest, new_credential
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.errors import DomainError
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import ApiKeyFactory, TenantFactory
from tests.races import at_once, outcome_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(acme: Tenant) -> ApiKey:
    return ApiKeyFactory(subscription__tenant=acme)


def path_of(key: ApiKey, action: str = "") -> str:
    return f"/v1/tenants/{key.tenant_id}/apikeys/{key.id}{action}"


def live_secrets(key: ApiKey) -> int:
    return key.secrets.exclude(valid_until__lte=Now()).count()


def test_a_rotated_key_keeps_its_id_and_has_a_new_secret(dave: Caller, key: ApiKey) -> None:
    response = dave.post(path_of(key, "/rotate"))

    assert response.status_code == 200
    rotated = response.json()
    secret = rotated.pop("key")
    assert rotated["id"] == key.id
    assert rotated["start"] == secret[:14] + "…" != key.start
    assert bytes(KeySecret.objects.get(key=key, valid_until=None).digest) == digest(secret)
    assert response["Cache-Control"] == "no-store"
    assert dave.get(path_of(key)).json() == rotated


def test_the_old_secret_lives_on_for_a_day_unless_it_is_said_otherwise(dave: Caller, key: ApiKey) -> None:
    rotated = dave.post(path_of(key, "/rotate")).json()

    assert rotated["status"] == "rotating"
    old = KeySecret.objects.exclude(valid_until=None).get()
    assert old.valid_until is not None
    remaining = old.valid_until - timezone.now()
    assert timedelta(hours=23, minutes=59) < remaining <= timedelta(days=1)
    assert rotated["previous_valid_until"] == old.valid_until.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_without_an_overlap_the_old_secret_ends_now(dave: Caller, key: ApiKey) -> None:
    rotated = dave.post(path_of(key, "/rotate"), {"overlap_seconds": 0}).json()

    assert (rotated["status"], rotated["previous_valid_until"]) == ("active", None)
    assert live_secrets(key) == 1


def test_when_the_old_secret_was_last_used_is_shown(dave: Caller, key: ApiKey) -> None:
    KeySecret.objects.filter(key=key).update(last_used_at="2026-01-01T00:00:00Z")

    rotated = dave.post(path_of(key, "/rotate")).json()

    assert rotated["previous_last_used_at"] == rotated["last_used_at"] == "2026-01-01T00:00:00Z"


def test_the_rotation_is_in_the_log_without_a_secret(dave: Caller, key: ApiKey) -> None:
    secret = dave.post(path_of(key, "/rotate")).json()["key"]

    event = log.last_event()
    assert log.types() == ["apikey.rotated"]
    assert (event.actor, event.data["id"], event.data["start"]) == (log.subject("dave"), key.id, secret[:14] + "…")
    assert secret[15:] not in log.whole_log()


def test_during_an_overlap_a_rotation_needs_force(dave: Caller, key: ApiKey) -> None:
    dave.post(path_of(key, "/rotate"))

    assert refusal_of(dave.post(path_of(key, "/rotate"))) == WRONG_STATE
    assert dave.post(path_of(key, "/rotate"), {"force": True}).status_code == 200
    assert live_secrets(key) == 2
    assert key.secrets.count() == 3


def test_a_rotation_is_finished_before_its_time(dave: Caller, key: ApiKey) -> None:
    dave.post(path_of(key, "/rotate"))

    finished = dave.post(path_of(key, "/rotate/finish"))

    assert finished.status_code == 200
    assert (finished.json()["status"], finished.json()["previous_valid_until"]) == ("active", None)
    assert "key" not in finished.json()
    assert live_secrets(key) == 1
    assert log.types() == ["apikey.rotated", "apikey.rotated"]
    assert dave.post(path_of(key, "/rotate")).status_code == 200


def test_there_must_be_a_rotation_to_finish(dave: Caller, key: ApiKey) -> None:
    assert refusal_of(dave.post(path_of(key, "/rotate/finish"))) == WRONG_STATE
    dave.post(path_of(key, "/rotate"))
    KeySecret.objects.exclude(valid_until=None).update(valid_until=Now())
    assert refusal_of(dave.post(path_of(key, "/rotate/finish"))) == WRONG_STATE
    assert dave.get(path_of(key)).json()["status"] == "active"


@pytest.mark.parametrize("status", ["suspended", "revoked", "expired"])
def test_the_subscription_must_be_active(dave: Caller, key: ApiKey, status: str) -> None:
    key.subscription.status = status
    key.subscription.save()

    assert refusal_of(dave.post(path_of(key, "/rotate"))) == WRONG_STATE
    assert key.secrets.count() == 1


def test_an_expired_key_is_not_rotated(dave: Caller, key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=Now())

    assert dave.get(path_of(key)).json()["status"] == "expired"
    assert refusal_of(dave.post(path_of(key, "/rotate"))) == WRONG_STATE


def test_a_revoked_key_is_not_there_to_rotate(dave: Caller, key: ApiKey) -> None:
    dave.delete(path_of(key))

    assert refusal_of(dave.post(path_of(key, "/rotate"))) == NOT_FOUND
    assert refusal_of(dave.post(path_of(key, "/rotate/finish"))) == NOT_FOUND


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("overlap_seconds", -1, "min_value"),
        ("overlap_seconds", 30 * 86400 + 1, "max_value"),
        ("overlap_seconds", "60", "invalid"),
        ("overlap_seconds", 1.5, "invalid"),
        ("overlap_seconds", None, "null"),
        ("force", "true", "invalid"),
        ("force", None, "null"),
        ("key", "stoa_live_mine", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(dave: Caller, key: ApiKey, field: str, value: Any, code: str) -> None:
    assert refusal_of(dave.post(path_of(key, "/rotate"), {field: value})) == invalid(field, code)
    assert key.secrets.count() == 1


def test_finishing_takes_no_fields(dave: Caller, key: ApiKey) -> None:
    dave.post(path_of(key, "/rotate"))

    assert refusal_of(dave.post(path_of(key, "/rotate/finish"), {"force": True})) == invalid("force", "unknown_field")


@pytest.mark.parametrize(("name", "status"), [("alice", 200), ("dave", 200), ("olga", 200), ("victor", 403)])
def test_builders_rotate_and_readers_do_not(
    call_as: Callable[[str], Caller], key: ApiKey, name: str, status: int
) -> None:
    for action in ("/rotate", "/rotate/finish"):
        response = call_as(name).post(path_of(key, action))
        assert response.status_code == status
        assert status != 403 or refusal_of(response) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, key: ApiKey) -> None:
    for action in ("/rotate", "/rotate/finish"):
        assert refusal_of(bob.post(path_of(key, action))) == NOT_FOUND
        assert refusal_of(bob.post(f"/v1/tenants/globex/apikeys/{key.id}{action}")) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_of_two_rotations_at_once_one_succeeds(dave: Caller) -> None:
    tenant = TenantFactory(name="acme")
    for _round in range(8):
        key = ApiKeyFactory(subscription__tenant=tenant)

        responses = at_once(*[lambda: dave.post(path_of(key, "/rotate"))] * 3)  # noqa: B023 - before the next round

        assert sorted(response.status_code for response in responses) == [200, 409, 409]
        assert live_secrets(key) == 2


@pytest.mark.django_db(transaction=True)
def test_rotations_and_a_revocation_at_once_leave_two_secrets_at_most(dave: Caller) -> None:
    tenant = TenantFactory(name="acme")
    for _round in range(8):
        key = ApiKeyFactory(subscription__tenant=tenant)
        rotate = path_of(key, "/rotate")

        first, second, revoked = at_once(
            lambda: dave.post(rotate, {"force": True}),  # noqa: B023 - as above
            lambda: dave.post(rotate, {"force": True}),  # noqa: B023 - as above
            lambda: dave.delete(path_of(key)),  # noqa: B023 - as above
        )

        assert revoked.status_code == 204
        assert {first.status_code, second.status_code} <= {200, 404}
        assert live_secrets(key) <= 2
        assert dave.get(path_of(key)).json()["status"] == "revoked"
        assert log.types()[-1] == "apikey.revoked"


@pytest.mark.django_db(transaction=True)
def test_no_secret_verifies_after_a_revocation_that_met_rotations_and_calls() -> None:
    tenant = TenantFactory(name="acme")
    for _round in range(8):
        secret = new_credential("stoa_live_")
        key = ApiKeyFactory(subscription__tenant=tenant, current_secret=secret)
        rotate = outcome_of(lambda: keys.rotate_key(key, 3600, force=True, by=SYSTEM))  # noqa: B023 - as above

        first, second, _revoked, during = at_once(
            rotate,
            rotate,
            lambda: revoke_key(key, by=SYSTEM),  # noqa: B023 - as above
            lambda: decide(Call(secret)),  # noqa: B023 - as above
        )

        assert during.reason in (None, "key_revoked")
        issued = [outcome.secret for outcome in (first, second) if not isinstance(outcome, DomainError)]
        assert [decide(Call(one)).reason for one in (secret, *issued)] == ["key_revoked"] * (1 + len(issued))


@pytest.mark.django_db(transaction=True)
def test_of_two_finishes_at_once_one_succeeds(dave: Caller) -> None:
    key = ApiKeyFactory(subscription__tenant=TenantFactory(name="acme"))
    for _round in range(3):
        dave.post(path_of(key, "/rotate"))

        responses = at_once(*[lambda: dave.post(path_of(key, "/rotate/finish"))] * 3)

        assert sorted(response.status_code for response in responses) == [200, 409, 409]
