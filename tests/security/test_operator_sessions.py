"""A session of the console ends when it must: by time, by the provider, by the role, by its owner."""

import re
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.cache.backends.locmem import LocMemCache
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, logout_claims
from stoa_cp.devserver.realm import Person as RealmPerson
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.errors import DomainError
from stoa_cp.eventlog.models import Event
from stoa_cp.operators import sessions, sign_out
from stoa_cp.operators.models import OperatorSession
from stoa_cp.tasks import purge_expired
from tenants.models import Tenant
from tests.conftest import Caller
from tests.kernel.conftest import restart_process
from tests.kernel.console.pages import answer, dialog_of, list_of
from tests.kernel.operators.person import Person
from tests.races import at_once, outcome_of
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

MINUTE, HOUR = 60, 3600
CONSOLE = "/admin/tenants/tenant/"
BACK_CHANNEL = "/admin/oidc/backchannel-logout"


@pytest.fixture(autouse=True)
def _client_of_the_realm(settings: Settings, realm: Grants) -> Iterator[None]:
    settings.OIDC_RP_CLIENT_SECRET = realm.client_secret
    restart_process()
    yield
    restart_process()


@pytest.fixture
def olga_at_work() -> Person:
    person = Person("olga")
    assert person.sign_in()["Location"] == "/admin/"
    return person


def in_(seconds: float) -> Any:
    return time_machine.travel(time.time() + seconds, tick=True)


def types() -> list[str]:
    return list(Event.objects.filter(type__startswith="operator.").order_by("sequence").values_list("type", flat=True))


# --- By time -------------------------------------------------------------------------------------------------


def test_an_idle_session_ends(console: Client, settings: Settings) -> None:
    settings.STOA_SESSION_IDLE_HOURS = 2
    assert console.get(CONSOLE).status_code == 200
    with in_(1.9 * HOUR):
        assert console.get(CONSOLE).status_code == 200  # and is no longer idle
    with in_(3.8 * HOUR):
        assert console.get(CONSOLE).status_code == 200
    with in_(6 * HOUR):
        assert console.get(CONSOLE).status_code == 302


def test_a_busy_session_ends_after_its_longest_time(console: Client, settings: Settings) -> None:
    settings.STOA_SESSION_MAX_HOURS = 3
    statuses = []
    for hours in (1, 2, 2.9, 3.1):
        with in_(hours * HOUR):
            statuses.append(console.get(CONSOLE).status_code)
    assert statuses == [200, 200, 200, 302]


def test_sessions_that_have_ended_are_deleted(console: Client) -> None:
    with in_(13 * HOUR):
        purge_expired()
    assert not OperatorSession.objects.exists()


def test_the_database_does_not_hold_what_the_cookie_holds(console: Client, settings: Settings) -> None:
    cookie = console.cookies[settings.SESSION_COOKIE_NAME].value
    [row] = OperatorSession.objects.values()
    assert cookie not in str(row)

    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = row["session_key"]
    assert thief.get(CONSOLE).status_code == 302


def test_a_session_is_written_once_a_minute(console: Client) -> None:
    [before] = OperatorSession.objects.values_list("last_seen_at", flat=True)
    console.get(CONSOLE)
    assert OperatorSession.objects.get().last_seen_at == before
    with in_(2 * MINUTE):
        console.get(CONSOLE)
    assert OperatorSession.objects.get().last_seen_at > before


# --- Checked at the provider ---------------------------------------------------------------------------------


def test_until_the_check_is_due_the_provider_is_not_called(olga_at_work: Person) -> None:
    with in_(14 * MINUTE):
        assert olga_at_work.console.get(CONSOLE).status_code == 200


def test_a_session_that_is_due_is_confirmed_without_a_password(olga_at_work: Person) -> None:
    with in_(16 * MINUTE):
        to_issuer = olga_at_work.console.get(CONSOLE)
        asked = parse_qs(urlsplit(to_issuer["Location"]).query)
        assert (asked["prompt"], asked["code_challenge_method"]) == (["none"], ["S256"])

        assert olga_at_work.visit(CONSOLE).status_code == 200
    with in_(30 * MINUTE):
        assert olga_at_work.console.get(CONSOLE).status_code == 200
    assert types() == ["operator.created", "operator.signed_in"]  # a check is no sign-in


def test_a_withdrawn_role_ends_all_sessions(olga_at_work: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Person("olga")
    elsewhere.sign_in()
    monkeypatch.setitem(PEOPLE, "olga", RealmPerson("olga", "viewer", "acme"))

    with in_(16 * MINUTE):
        page = olga_at_work.visit(CONSOLE)
    assert "cpi-admin" in page.content.decode()
    assert elsewhere.console.get(CONSOLE).status_code == 302
    assert not User.objects.get().is_superuser
    assert not OperatorSession.objects.filter(user__isnull=False).exists()
    assert types()[-2:] == ["operator.rights_changed", "operator.sign_in_failed"]


def test_a_person_removed_at_the_provider_is_out(olga_at_work: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PEOPLE, "olga")
    with in_(16 * MINUTE):
        page = olga_at_work.visit(CONSOLE)
    assert page.request["PATH_INFO"] == "/admin/login/"
    assert "Sign in again" in page.content.decode()
    assert parse_qs(page.request["QUERY_STRING"])["next"] == [CONSOLE]


@pytest.mark.parametrize("path", [CONSOLE, "/admin/password_change/", "/admin/auth/user/add/"])
def test_a_write_that_is_due_is_not_executed_but_answered(olga_at_work: Person, path: str) -> None:
    form = {"username": "mallory", "password1": "a-long-and-good-one", "password2": "a-long-and-good-one"}
    with in_(16 * MINUTE):
        refused = olga_at_work.console.post(path, form)
        assert refused.status_code == 403
        assert "Nothing was changed" in refused.content.decode()
        assert f'href="{path}"' in refused.content.decode()
        assert User.objects.count() == 1
        assert olga_at_work.visit(path).status_code == 200


def test_a_dialog_that_is_due_reloads_the_page_behind_it(olga_at_work: Person, acme: Tenant) -> None:
    with in_(16 * MINUTE):
        response = answer(olga_at_work.console, dialog_of(acme, "suspend"), reason="Unpaid")
    assert response.headers["HX-Refresh"] == "true"
    assert any("Nothing was changed" in str(message) for message in get_messages(response.wsgi_request))
    acme.refresh_from_db()
    assert acme.status == "active"


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_no_other_method_passes_either(olga_at_work: Person, method: str) -> None:
    with in_(16 * MINUTE):
        assert getattr(olga_at_work.console, method)(CONSOLE).status_code == 403


def test_while_the_provider_is_away_nothing_is_shown(olga_at_work: Person, settings: Settings) -> None:
    settings.STOA_OIDC_ISSUER = "http://127.0.0.1:9/realms/stoa"
    with in_(16 * MINUTE):
        response = olga_at_work.console.get(CONSOLE)
        with_password = {"username": "root", "password": "wrong"}
        assert olga_at_work.console.post("/admin/login/", with_password).status_code == 200
    assert response.status_code == 503
    assert "does not answer" in response.content.decode()
    assert list_of(User) not in response.content.decode()
    assert 'action="/admin/logout/"' in response.content.decode()


def test_a_session_with_a_password_needs_no_provider(console: Client) -> None:
    with in_(16 * MINUTE):
        assert console.get(CONSOLE).status_code == 200


def test_the_api_does_not_depend_on_the_cookie(olga: Caller) -> None:
    assert "Cookie" not in olga.get("/v1/me").headers.get("Vary", "")


@pytest.mark.parametrize("query", ["?error=login_required", "?error=x&state=y", "?code=a&state=b", ""])
def test_an_invented_callback_signs_no_one_out(olga_at_work: Person, query: str) -> None:
    response = olga_at_work.console.get(f"{reverse('oidc_authentication_callback')}{query}")
    assert response["Location"] == "/admin/login/"
    assert olga_at_work.console.get(CONSOLE).status_code == 200


# --- Signing out, in both directions -------------------------------------------------------------------------


def test_who_signs_out_here_is_signed_out_there(olga_at_work: Person) -> None:
    response = olga_at_work.console.post("/admin/logout/")
    seconds, target = response.headers["Refresh"].split("; url=")
    asked = parse_qs(urlsplit(target).query)
    assert seconds == "0"
    assert asked["post_logout_redirect_uri"] == ["http://localhost/admin/"]
    assert olga_at_work.console.get(CONSOLE).status_code == 302

    olga_at_work.sign_out_at_issuer(target)
    again = olga_at_work.console.get(reverse("oidc_authentication_init"))["Location"]
    with pytest.raises(AssertionError, match="200"):  # the issuer shows its form: it has no session any more
        olga_at_work.confirm(again)
    assert types()[-1] == "operator.signed_out"


def test_a_get_signs_no_one_out(olga_at_work: Person) -> None:
    assert olga_at_work.console.get("/admin/logout/").status_code == 405
    assert olga_at_work.console.get(CONSOLE).status_code == 200


def test_signing_out_works_while_the_provider_is_away(olga_at_work: Person, settings: Settings) -> None:
    settings.STOA_OIDC_ISSUER = "http://127.0.0.1:9/realms/stoa"
    with in_(16 * MINUTE):
        assert olga_at_work.console.post("/admin/logout/")["Location"] == "/admin/login/"
        assert olga_at_work.console.get(CONSOLE)["Location"].startswith("/admin/login/")


def logout_token(realm: Grants, **changes: object) -> str:
    claims = logout_claims("olga", "", realm.issuer) | changes
    return realm.key.sign({name: value for name, value in claims.items() if value is not None})


def test_the_provider_ends_the_session_that_it_names(olga_at_work: Person, realm: Grants) -> None:
    elsewhere = Person("olga")
    elsewhere.sign_in()
    sid = OperatorSession.objects.filter(user__isnull=False).latest("-signed_in_at").provider_session

    response = Client(enforce_csrf_checks=True).post(BACK_CHANNEL, {"logout_token": logout_token(realm, sid=sid)})
    assert (response.status_code, response.content) == (200, b"")
    assert response["Cache-Control"] == "no-store"
    assert olga_at_work.console.get(CONSOLE).status_code == 302
    assert elsewhere.console.get(CONSOLE).status_code == 200
    assert types()[-1] == "operator.session_ended"


def test_without_a_sid_it_ends_all_of_the_person(olga_at_work: Person, realm: Grants, console: Client) -> None:
    elsewhere = Person("olga")
    elsewhere.sign_in()
    assert Client().post(BACK_CHANNEL, {"logout_token": logout_token(realm, sid=None)}).status_code == 200
    assert olga_at_work.console.get(CONSOLE).status_code == 302
    assert elsewhere.console.get(CONSOLE).status_code == 302
    assert console.get(CONSOLE).status_code == 200  # the session of another user


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"aud": "another"}, id="another client's"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"iat": None}, id="no time of issue"),
        pytest.param({"events": None}, id="no events"),
        pytest.param({"events": {"http://schemas.openid.net/event/backchannel-logout": "x"}}, id="no object"),
        pytest.param({"events": ["http://schemas.openid.net/event/backchannel-logout"]}, id="a list"),
        pytest.param({"nonce": "n"}, id="an id token"),
        pytest.param({"typ": "Bearer"}, id="an access token"),
        pytest.param({"jti": None}, id="no id"),
        pytest.param({"jti": 7}, id="no text"),
        pytest.param({"sub": None, "sid": None}, id="of no one"),
    ],
)
def test_a_logout_token_of_anything_else_is_refused(
    olga_at_work: Person, realm: Grants, changes: dict[str, object]
) -> None:
    sid = OperatorSession.objects.get(user__isnull=False).provider_session
    token = logout_token(realm, **({"sid": sid} | changes))
    assert Client().post(BACK_CHANNEL, {"logout_token": token}).status_code == 400
    assert olga_at_work.console.get(CONSOLE).status_code == 200


def test_a_forged_logout_token_is_refused(olga_at_work: Person, realm: Grants) -> None:
    head, payload, signature = logout_token(realm, sid=None).split(".")
    for token in ("", "x", f"{head}.{payload}.", f"{head}.{payload}.{signature[::-1]}"):
        assert Client().post(BACK_CHANNEL, {"logout_token": token}).status_code == 400
    assert olga_at_work.console.get(CONSOLE).status_code == 200


def test_a_logout_token_serves_once(olga_at_work: Person, realm: Grants) -> None:
    token = logout_token(realm, sid=None)
    assert Client().post(BACK_CHANNEL, {"logout_token": token}).status_code == 200
    olga_at_work.sign_in()
    assert Client().post(BACK_CHANNEL, {"logout_token": token}).status_code == 400
    assert olga_at_work.console.get(CONSOLE).status_code == 200


def test_a_logout_token_serves_again_if_the_database_failed(
    olga_at_work: Person, realm: Grants, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = logout_token(realm, sid=None)
    # As Redis: what it stores is not undone with the transaction.
    monkeypatch.setattr(sign_out, "caches", {"counters": LocMemCache("logout", {})})
    with monkeypatch.context() as failing:
        failing.setattr(sign_out, "end_provider_sessions", Mock(side_effect=OperationalError))
        assert Client(raise_request_exception=False).post(BACK_CHANNEL, {"logout_token": token}).status_code >= 500

    assert Client().post(BACK_CHANNEL, {"logout_token": token}).status_code == 200


def test_a_logout_token_is_no_access_token(realm: Grants) -> None:
    assert Caller(logout_token(realm, typ=None)).get("/v1/me").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_sign_out_at_the_provider_reaches_the_console(realm: Grants, live_server: LiveServer) -> None:
    person = Person("olga")
    person.console.defaults["HTTP_HOST"] = urlsplit(live_server.url).netloc
    person.sign_in()
    assert person.console.get(CONSOLE).status_code == 200
    person.sign_out_at_issuer(
        f"{realm.issuer}/protocol/openid-connect/logout?post_logout_redirect_uri=http://localhost"
    )
    wait_until(lambda: person.console.get(CONSOLE).status_code == 302, "the session ends")


# --- Listed and ended in the console -------------------------------------------------------------------------


def test_a_superuser_ends_the_session_of_another(console: Client, readonly_console: Client) -> None:
    session = OperatorSession.objects.get(user__username="luke")
    assert "luke" in console.get(list_of(OperatorSession)).content.decode()
    answer(console, dialog_of(session, "end"))
    assert readonly_console.get(CONSOLE).status_code == 302
    assert Event.objects.get().data["username"] == "luke"


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Gecko/20100101 Firefox/128.0"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0", "Chrome/156.0.0.0"),
        ("curl/7.88.1", "curl/7.88.1"),
    ],
)
def test_the_list_tells_browsers_apart(console: Client, agent: str, shown: str) -> None:
    OperatorSession.objects.update(user_agent=agent)
    page = console.get(list_of(OperatorSession)).content.decode()
    assert re.search(rf">\s*{re.escape(shown)}\s*<", page)


def test_others_see_and_end_their_own_only(console: Client, readonly_console: Client) -> None:
    own, other = (OperatorSession.objects.get(user__username=name) for name in ("luke", "olga"))
    page = readonly_console.get(list_of(OperatorSession)).content.decode()
    assert own.pk in page
    assert other.pk not in page
    answer(readonly_console, dialog_of(other, "end"))
    assert console.get(CONSOLE).status_code == 200
    answer(readonly_console, dialog_of(own, "end"))
    assert readonly_console.get(CONSOLE).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_two_who_end_a_session_at_once_one_is_logged(console: Client) -> None:
    session = OperatorSession.objects.get()
    end = outcome_of(lambda: sessions.end_session(session, by=SYSTEM))
    outcomes = at_once(end, end)
    assert sum(isinstance(outcome, DomainError) for outcome in outcomes) == 1
    assert types() == ["operator.session_ended"]
