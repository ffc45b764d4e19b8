"""ETag, If-None-Match, If-Match and dry_run."""

import pytest

from catalog.models import Api
from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests.conftest import Caller
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(acme: Tenant) -> str:
    return f"/v1/tenants/acme/apis/{ApiFactory(tenant=acme).id}"


def test_an_object_says_its_version(alice: Caller, path: str) -> None:
    assert alice.get(path)["ETag"] == 'W/"1"'
    assert alice.patch(path, {"description": "new"})["ETag"] == 'W/"2"'


@pytest.mark.parametrize("header", ['W/"1"', '"1"', "*", 'W/"7", W/"1"'])
def test_what_is_known_already_is_not_sent(alice: Caller, path: str, header: str) -> None:
    response = alice.get(path, If_None_Match=header)

    assert response.status_code == 304
    assert response.content == b""
    assert response["ETag"] == 'W/"1"'


def test_what_has_changed_is_sent(alice: Caller, path: str) -> None:
    assert alice.get(path, If_None_Match='W/"9"').status_code == 200


def test_a_stale_change_is_refused(alice: Caller, path: str) -> None:
    alice.patch(path, {"description": "theirs"})

    response = alice.patch(path, {"description": "mine"}, If_Match='W/"1"')

    assert response.status_code == 412
    error = response.json()["error"]
    assert (error["code"], error["details"][0]["code"]) == ("conflict", "precondition_failed")
    assert alice.get(path).json()["description"] == "theirs"


def test_a_current_change_passes(alice: Caller, path: str) -> None:
    assert alice.patch(path, {"description": "mine"}, If_Match='W/"1"').status_code == 200
    assert alice.delete(path, If_Match='W/"1"').status_code == 412
    assert alice.delete(path, If_Match='W/"2"').status_code == 204


def test_a_patch_that_changes_nothing_is_no_event(alice: Caller, path: str) -> None:
    assert alice.patch(path, {})["ETag"] == 'W/"1"'
    assert not Event.objects.exists()


def test_a_dry_run_tells_and_does_nothing(alice: Caller, acme: Tenant) -> None:
    body = {"name": "payments", "path": "/payments", "upstream_url": "https://up.example.com"}

    response = alice.post("/v1/tenants/acme/apis?dry_run=true", body)

    assert response.status_code == 201
    assert response.json()["public_url"].endswith("/acme/payments")
    assert not Api.objects.exists()
    assert not Event.objects.exists()


def test_a_dry_run_refuses_as_the_real_thing_would(alice: Caller, acme: Tenant, path: str) -> None:
    taken = Api.objects.get()
    body = {"name": "other", "path": taken.path, "upstream_url": "https://up.example.com"}

    assert alice.post("/v1/tenants/acme/apis?dry_run=true", body).status_code == 409
    assert alice.delete(f"{path}?dry_run=true").status_code == 204
    assert alice.get(path).status_code == 200
    assert alice.delete(f"{path}?dry_run=maybe").status_code == 400
