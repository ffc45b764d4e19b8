"""The examples of the OpenAPI document against real answers to the cast: same names in the same order, same words."""

from typing import Any

import pytest

from apikeys import examples
from apikeys.models import ApiKey
from catalog.models import Api
from stoa_cp.crypto.credentials import is_well_formed
from subscriptions.models import Subscription
from tests.apikeys.conftest import Edge, Issue
from tests.conftest import Caller

pytestmark = pytest.mark.django_db


def test_the_explanation_is_what_the_service_answers(victor: Caller, key: ApiKey) -> None:
    Subscription.objects.update(rate_limit=0)
    answer = victor.post("/v1/tenants/acme/explain", examples.EXPLANATION | {"key_id": key.id}).json()
    assert answer == examples.EXPLAINED


def test_the_verification_has_the_members_of_a_real_one(edge: Edge, issue: Issue) -> None:
    _key, secret = issue()
    answer = edge.verify(**examples.VERIFICATION | {"key": secret}).json()
    assert members(answer) == members(examples.VERIFIED)
    assert (answer["valid"], answer["code"]) == (examples.VERIFIED["valid"], examples.VERIFIED["code"])


def test_the_key_has_the_members_of_a_real_one(alice: Caller, mobile: Subscription) -> None:
    issued = alice.post("/v1/tenants/acme/apikeys", examples.NEW_KEY | {"subscription_id": mobile.id}).json()
    assert [*issued] == [*examples.ISSUED_KEY]
    assert [*alice.get(f"/v1/tenants/acme/apikeys/{issued['id']}").json()] == [*examples.KEY]
    # Its start is the start of the secret, as of a real one.
    for shown in (issued, examples.ISSUED_KEY):
        assert is_well_formed(shown["key"], "stoa_live_")
        assert shown["start"] == shown["key"][: len(issued["start"]) - 1] + "…"


def test_the_configuration_has_the_members_of_a_real_one(edge: Edge, key: ApiKey, payments: Api) -> None:
    ApiKey.objects.update(**examples.WHERE)
    answer = edge.ask("/v1/gateway/config", {}).json()
    assert members(answer) == members(examples.CONFIGURATION)
    (route,), (example,) = answer["routes"], examples.CONFIGURATION["routes"]
    assert route["path"] == example["path"] == f"/acme{payments.path}"


def members(value: Any) -> Any:
    """Return the names of all members, in their order, at every depth."""
    match value:
        case dict():
            return [(name, members(member)) for name, member in value.items()]
        case list():
            return [members(member) for member in value]
        case _:
            return None
