"""PATCH /v1/tenants/{id}/apikeys/{id}: the name, the end, and where the key may be used."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apikeys.models import ApiKey
from apikeys.services import keys
from apikeys.services.expiry_warnings import announce_next_expiry
from apikeys.services.revocations import revoke_key
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import ApiKeyFactory
from tests.races import at_once, outcome_of

pytestmark = pytest.mark.django_db

NEXT_CENTURY = "2126-01-09T00:00:00Z"
WHERE: dict[str, Any] = {
    "allowed_ips": ["198.51.100.0/24", "2001:db8::/32"],
    "allowed_methods": ["GET", "POST"],
    "allowed_paths": ["/refunds"],
}


@pytest.fixture
def key(acme: Tenant) -> ApiKey:
    return ApiKeyFactory(subscription__tenant=acme)


def path_of(key: ApiKey, action: str = "") -> str:
    return f"/v1/tenants/{key.tenant_id}/apikeys/{key.id}{action}"


def test_a_key_is_changed_and_shown_as_it_is_now(dave: Caller, key: ApiKey) -> None:
    changes = {"name": "Laptop", "expires_at": NEXT_CENTURY} | WHERE
    before = dave.get(path_of(key))

    response = dave.patch(path_of(key), changes, If_Match=before["ETag"])

    assert response.status_code == 200
    shown = response.json()
    assert shown == before.json() | changes | {"updated_at": shown["updated_at"]}
    assert response["ETag"] != before["ETag"]
    assert dave.get(path_of(key)).json() == shown
    event = log.last_event()
    assert (event.type, event.changes["allowed_methods"]) == ("apikey.updated", [None, ["GET", "POST"]])
    assert event.data["allowed_ips"] == WHERE["allowed_ips"]


def test_null_is_anywhere_and_without_an_end(dave: Caller, key: ApiKey) -> None:
    dave.patch(path_of(key), WHERE | {"expires_at": NEXT_CENTURY})
    nowhere = dict.fromkeys([*WHERE, "expires_at"])
    assert dave.patch(path_of(key), nowhere).json().items() >= nowhere.items()


def test_what_is_said_again_in_other_words_is_no_change(dave: Caller, key: ApiKey) -> None:
    dave.patch(path_of(key), {"allowed_ips": ["198.51.100.7", "::1.2.3.4"], "allowed_paths": ["/refunds/"]})
    count = log.events().count()
    again = {"allowed_ips": ["198.51.100.7/32", "::102:304/128"], "allowed_paths": ["/refunds"]}
    assert dave.patch(path_of(key), again).json().items() >= again.items()
    assert dave.patch(path_of(key), {}).status_code == 200
    assert log.events().count() == count


WRONG = [
    ("allowed_ips", [], "min_length"),
    ("allowed_ips", "10.0.0.0/8", "not_a_list"),
    ("allowed_ips", ["10.0.0.0/8"] * 51, "max_length"),
    ("allowed_methods", [], "min_length"),
    ("allowed_methods", ["GET"] * 51, "max_length"),
    ("allowed_paths", [], "min_length"),
    ("allowed_paths", ["/a"] * 51, "max_length"),
    ("expires_at", "2020-01-01T00:00:00Z", "invalid"),
    ("name", "", "blank"),
    ("mode", "test", "read_only"),
]
WRONG_MEMBERS = [
    ("allowed_ips", member)
    for member in ("10.0.0.0/33", "10.0.0.0/255.0.0.0", "office", "", 7, None, "10.0.0.1-10.0.0.9", "fe80::1%eth0")
]
WRONG_MEMBERS += [("allowed_methods", member) for member in ("get", "GET POST", "*", "", "G" * 33, "GÉT", 7)]
WRONG_MEMBERS += [
    ("allowed_paths", member)
    for member in ("refunds", "/a/../b", "/a/./b", "//a", "/a b", "/%61", "/a;b", "/a*", "/a?b", "/" + "a" * 200, "", 7)
]


@pytest.mark.parametrize(("field", "value", "code"), WRONG)
def test_a_wrong_field_is_named(dave: Caller, key: ApiKey, field: str, value: Any, code: str) -> None:
    assert refusal_of(dave.patch(path_of(key), {field: value})) == invalid(field, code)


@pytest.mark.parametrize(("field", "member"), WRONG_MEMBERS, ids=repr)
def test_a_wrong_member_is_named_at_creation_and_later(dave: Caller, key: ApiKey, field: str, member: Any) -> None:
    count = log.events().count()
    new = {"subscription_id": key.subscription_id, "name": "x"}
    for response in (
        dave.patch(path_of(key), {field: [member]}),
        dave.post(f"/v1/tenants/{key.tenant_id}/apikeys", new | {field: [member]}),
    ):
        status, code, named, _detail = refusal_of(response)
        assert (status, code, named.partition(".")[0]) == (400, "validation_error", field)
    assert log.events().count() == count


def test_fifty_of_each_are_taken(dave: Caller, key: ApiKey) -> None:
    many = {
        "allowed_ips": [f"10.0.{number}.0/24" for number in range(50)],
        "allowed_methods": [f"M{number}" for number in range(50)],
        "allowed_paths": [f"/{number}" for number in range(50)],
    }
    assert dave.patch(path_of(key), many).json().items() >= many.items()


def test_a_key_is_issued_for_somewhere_and_a_rotation_keeps_it(dave: Caller, key: ApiKey) -> None:
    body = {"subscription_id": key.subscription_id, "name": "x", "expires_at": NEXT_CENTURY} | WHERE
    issued = dave.post(f"/v1/tenants/{key.tenant_id}/apikeys", body).json()
    assert issued.items() >= WHERE.items()
    rotated = dave.post(f"/v1/tenants/{key.tenant_id}/apikeys/{issued['id']}/rotate", {}).json()
    assert rotated.items() >= (WHERE | {"expires_at": NEXT_CENTURY}).items()


def test_a_rotation_may_bring_another_end(dave: Caller, key: ApiKey) -> None:
    rotated = dave.post(path_of(key, "/rotate"), {"expires_at": NEXT_CENTURY}).json()
    assert rotated["expires_at"] == NEXT_CENTURY
    assert log.last_event().changes == {"expires_at": [None, NEXT_CENTURY]}
    past = {"expires_at": "2020-01-01T00:00:00Z", "force": True}
    assert refusal_of(dave.post(path_of(key, "/rotate"), past)) == invalid("expires_at")
    assert dave.post(path_of(key, "/rotate"), {"expires_at": None, "force": True}).json()["expires_at"] is None


def test_an_expired_key_stays_expired(dave: Caller, key: ApiKey) -> None:
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert refusal_of(dave.patch(path_of(key), {"expires_at": NEXT_CENTURY})) == WRONG_STATE
    assert refusal_of(dave.post(path_of(key, "/rotate"), {"expires_at": NEXT_CENTURY})) == WRONG_STATE


def test_a_revoked_key_is_not_found(dave: Caller, key: ApiKey) -> None:
    revoke_key(key, by=SYSTEM)
    assert refusal_of(dave.patch(path_of(key), WHERE)) == NOT_FOUND


def test_another_end_is_announced_again(key: ApiKey) -> None:
    def announced_after(days: int) -> int | None:
        keys.update_key(key, {"expires_at": timezone.now() + timedelta(days=days, hours=-1)}, by=SYSTEM)
        announced = announce_next_expiry()
        return announced and announced.announced_days

    ApiKey.objects.update(created_at=timezone.now() - timedelta(days=90))
    assert announced_after(7) == 7
    assert announced_after(60) is None
    assert announced_after(7) == 7
    assert announce_next_expiry() is None


def test_who_may_not_issue_keys_may_not_change_them(victor: Caller, bob: Caller, key: ApiKey) -> None:
    assert refusal_of(victor.patch(path_of(key), WHERE)) == MISSING_ROLE
    assert refusal_of(bob.patch(path_of(key), WHERE)) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_a_change_at_the_moment_of_a_revocation_does_not_undo_it(acme: Tenant) -> None:
    for number in range(10):
        key = ApiKeyFactory(subscription__tenant=acme)
        at_once(
            outcome_of(lambda key=key, number=number: keys.update_key(key, {"name": f"n{number}"}, by=SYSTEM)),
            outcome_of(lambda key=key: revoke_key(key, by=SYSTEM)),
        )
        key.refresh_from_db()
        assert key.revoked_at
