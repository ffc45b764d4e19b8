"""A login at the provider that is under way: its state is in the browser, and makes no row here."""

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from stoa_cp.devserver.grants import Grants
from stoa_cp.operators.models import OperatorSession
from tests.kernel.conftest import restart_process

pytestmark = pytest.mark.django_db

HOUR = 3600


@pytest.fixture(autouse=True)
def _client_of_the_realm(settings: Settings, realm: Grants) -> Iterator[None]:
    settings.OIDC_RP_CLIENT_SECRET = realm.client_secret
    restart_process()
    yield
    restart_process()


def test_a_stranger_makes_no_session(realm: Grants) -> None:
    browser = Client()
    begun = browser.get(reverse("oidc_authentication_init"))
    [state] = parse_qs(urlsplit(begun["Location"]).query)["state"]
    for result in ({"error": "access_denied"}, {"code": "invented"}, {}):
        browser.get(reverse("oidc_authentication_callback"), {"state": state} | result)

    assert not OperatorSession.objects.exists()
    assert browser.cookies["stoa_login"].value == ""


def test_a_login_that_is_not_finished_is_over_after_an_hour(realm: Grants) -> None:
    browser = Client()
    begun = browser.get(reverse("oidc_authentication_init"))
    [state] = parse_qs(urlsplit(begun["Location"]).query)["state"]
    with time_machine.travel(time.time() + 1.1 * HOUR, tick=True):
        ended = browser.get(reverse("oidc_authentication_callback"), {"state": state, "code": "c"}, follow=True)

    assert "This login is over" in ended.content.decode()


def test_a_state_of_another_browser_is_not_taken(realm: Grants) -> None:
    browser = Client()
    cookie = browser.get(reverse("oidc_authentication_init")).cookies["stoa_login"].value
    browser.cookies["stoa_login"] = cookie.replace(cookie[5], "A" if cookie[5] != "A" else "B", 1)
    ended = browser.get(reverse("oidc_authentication_callback"), {"state": "x" * 32, "code": "c"}, follow=True)

    assert "This login is over" in ended.content.decode()


def test_beginning_a_login_is_limited(realm: Grants, settings: Settings) -> None:
    settings.STOA_LOGIN_RATE_LIMIT = 2
    statuses = [Client().get(reverse("oidc_authentication_init")).status_code for _time in range(4)]

    assert statuses == [302, 302, 429, 429]
