"""Deprecating an API, and announcing when it goes."""

import pytest

from catalog.models import Api
from tenants.models import Tenant
from tests import log
from tests.answers import invalid, refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db

SUNSET = "2126-01-09T00:00:00Z"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme)


@pytest.fixture
def path(api: Api) -> str:
    return f"/v1/tenants/acme/apis/{api.id}"


def test_a_deprecated_api_says_since_when_and_until_when(dave: Caller, path: str) -> None:
    changed = dave.patch(path, {"status": "deprecated", "sunset_at": SUNSET}).json()

    assert changed["status"] == "deprecated"
    assert changed["deprecated_at"] is not None
    assert changed["sunset_at"] == SUNSET


def test_the_log_has_an_event_of_its_own_for_it(dave: Caller, path: str) -> None:
    deprecated_at = dave.patch(path, {"status": "deprecated", "sunset_at": SUNSET}).json()["deprecated_at"]

    event = log.last_event()
    assert event.type == "api.deprecated"
    assert event.changes == {
        "status": ["active", "deprecated"],
        "deprecated_at": [None, deprecated_at],
        "sunset_at": [None, SUNSET],
    }


def test_the_sunset_may_be_said_later_and_taken_back(dave: Caller, path: str) -> None:
    since = dave.patch(path, {"status": "deprecated"}).json()["deprecated_at"]

    assert dave.patch(path, {"sunset_at": "2126-01-09T02:00:00.9+02:00"}).json()["sunset_at"] == SUNSET
    taken_back = dave.patch(path, {"sunset_at": None}).json()

    assert (taken_back["sunset_at"], taken_back["deprecated_at"]) == (None, since)
    assert log.types() == ["api.deprecated", "api.updated", "api.updated"]


def test_an_api_comes_back_without_the_dates(dave: Caller, path: str) -> None:
    whole = dave.patch(path, {"status": "deprecated", "sunset_at": SUNSET}).json()

    back = dave.patch(path, whole | {"status": "active"}).json()

    assert (back["status"], back["deprecated_at"], back["sunset_at"]) == ("active", None, None)
    assert log.last_event().type == "api.updated"
    assert log.last_event().changes == {
        "status": ["deprecated", "active"],
        "deprecated_at": [whole["deprecated_at"], None],
        "sunset_at": [SUNSET, None],
    }


def test_only_a_deprecated_api_has_a_sunset(dave: Caller, path: str) -> None:
    assert refusal_of(dave.patch(path, {"sunset_at": SUNSET})) == invalid("sunset_at")
    dave.patch(path, {"status": "deprecated"})
    assert refusal_of(dave.patch(path, {"status": "active", "sunset_at": SUNSET})) == invalid("sunset_at")


@pytest.mark.parametrize(
    ("sunset", "code"),
    [
        ("2020-01-01T00:00:00Z", "invalid"),
        ("2126-01-09", "no_offset"),
        ("2126-01-09T00:00:00", "no_offset"),
        ("soon", "invalid"),
        (1767916800, "invalid"),
        ("9999-12-31T23:59:59-23:59", "overflow"),
    ],
)
def test_a_wrong_sunset_is_refused(dave: Caller, path: str, sunset: object, code: str) -> None:
    response = dave.patch(path, {"status": "deprecated", "sunset_at": sunset})

    assert refusal_of(response) == invalid("sunset_at", code)
    assert not log.events().exists()
