"""Who gets into the console with which password, who may only look, and what the log tells of it."""

import os
import subprocess
import sys
import time
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.eventlog.models import Event
from stoa_cp.operators import accounts
from stoa_cp.operators.models import OperatorSession
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.conftest import signed_in
from tests.databases import database_url
from tests.factories import ApiKeyFactory, SubscriptionFactory
from tests.kernel.console.pages import answer, dialog_of, list_of, page_of
from tests.kernel.operators.person import Person
from tests.project.documents import ROOT
from tests.races import at_once
from webhooks.delivery.fan_out import fan_out_events
from webhooks.event_types import TYPES
from webhooks.models import Delivery

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
GOOD = "correct-horse-battery"
WEAK = ["1", "password", "12345678901234", "olga-perator1", "Sh0rt!x"]


def events() -> list[Event]:
    return list(Event.objects.filter(type__startswith="operator.").order_by("sequence"))


def types() -> list[str]:
    return [event.type for event in events()]


def log_in(name: str, password: str, address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post(LOGIN, {"username": name, "password": password})


@pytest.fixture
def _realm_client(settings: Settings) -> None:
    settings.OIDC_RP_CLIENT_SECRET = "client-secret"


# --- Passwords -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", WEAK)
def test_a_weak_password_is_refused_wherever_one_is_set(
    console: Client, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    User.objects.filter(username="olga").update(first_name="olga-perator")
    new = {"username": "olga-perator", "password1": password, "password2": password, "usable_password": "true"}
    assert console.post("/admin/auth/user/add/", new).status_code == 200
    olga = User.objects.get()
    assert console.post(f"/admin/auth/user/{olga.pk}/password/", new | {"set-password": "1"}).status_code == 200
    monkeypatch.setenv("STOA_OPERATOR_PASSWORD", password)
    with pytest.raises(CommandError):
        call_command("prepare", operator="olga-perator", verbosity=0, stdout=StringIO())
    with pytest.raises(ValidationError):
        accounts.set_password(olga, password, by=SYSTEM)
    assert User.objects.count() == 1
    assert not types()


def test_djangos_own_command_does_not_go_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "1")
    with pytest.raises(CommandError, match="prepare --operator"):
        call_command("createsuperuser", username="root", email="", interactive=False)
    assert not User.objects.exists()


def test_prepare_creates_the_first_operator_once(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("STOA_OPERATOR_PASSWORD", GOOD)
    for _release in range(2):
        call_command("prepare", operator="root", verbosity=0, stdout=StringIO())
    assert log_in("root", GOOD).status_code == 302
    assert types() == ["operator.created", "operator.signed_in"]


def test_a_new_password_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    user = accounts.create_superuser("root", GOOD, by=SYSTEM)
    client = signed_in(user)
    monkeypatch.setattr("stoa_cp.management.commands.changepassword.getpass", lambda _prompt: f"{GOOD}-2")
    call_command("changepassword", "root", stdout=StringIO())
    assert client.get("/admin/").status_code == 302
    assert log_in("root", f"{GOOD}-2").status_code == 302
    assert types()[1] == "operator.password_changed"


@pytest.mark.django_db(transaction=True)
def test_without_a_terminal_no_password_changes() -> None:
    accounts.create_superuser("root", GOOD, by=SYSTEM)
    environment = os.environ | {"DATABASE_URL": database_url()}
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "changepassword", "root"],
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # getpass reads the terminal of the session, if there is one
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.stderr.endswith("CommandError: No answer was typed. Nothing was changed.\n")
    assert log_in("root", GOOD).status_code == 302


# --- Passwords switched off ----------------------------------------------------------------------------------


def test_without_local_login_no_password_and_no_session_of_one_counts(settings: Settings) -> None:
    client = signed_in(accounts.create_superuser("root", GOOD, by=SYSTEM))
    settings.STOA_LOCAL_LOGIN = False
    page = client.get(LOGIN).content.decode()
    assert 'name="password"' not in page
    assert "single sign-on" in page
    assert client.get("/admin/").status_code == 302
    assert not client.login(username="root", password=GOOD)
    assert log_in("root", GOOD)["Location"] == LOGIN
    assert Client().get("/admin/").status_code == 302


def test_without_local_login_no_operator_is_prepared(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STOA_LOCAL_LOGIN = False
    monkeypatch.setenv("STOA_OPERATOR_PASSWORD", GOOD)
    with pytest.raises(CommandError, match="STOA_LOCAL_LOGIN"):
        call_command("prepare", operator="root", verbosity=0, stdout=StringIO())


def test_a_person_of_the_provider_gets_no_password_here(console: Client) -> None:
    alice = accounts.grant_rights(Actor("alice", frozenset({"cpi-admin"})), {})
    form = {"password1": GOOD, "password2": GOOD, "usable_password": "true", "set-password": "1"}
    assert console.post(f"/admin/auth/user/{alice.pk}/password/", form).status_code == 403
    new = form | {"username": "oidc-bob"}
    assert "identity provider" in console.post("/admin/auth/user/add/", new).content.decode()
    with pytest.raises(ValidationError):
        accounts.create_superuser("oidc-bob", GOOD, by=SYSTEM)


# --- Tries ---------------------------------------------------------------------------------------------------


def test_an_account_has_a_limit_over_all_addresses(settings: Settings) -> None:
    settings.STOA_LOGIN_RATE_LIMIT = 3
    accounts.create_superuser("root", GOOD, by=SYSTEM)
    spellings = ["root", " root ", "ＲＯＯＴ".lower()]
    tries = [log_in(name, "wrong", f"192.0.2.{n}").status_code for n, name in enumerate(spellings)]
    assert tries == [200, 200, 200]
    assert log_in("root", GOOD, "192.0.2.99").status_code == 429
    assert log_in("another", "wrong", "192.0.2.99").status_code == 200


def test_an_ipv6_network_has_one_limit(settings: Settings) -> None:
    settings.STOA_LOGIN_RATE_LIMIT = 2
    tries = [log_in(f"name-{n}", "wrong", f"2001:db8:0:1::{n}").status_code for n in range(1, 4)]
    assert tries == [200, 200, 429]
    assert log_in("name-9", "wrong", "2001:db8:0:2::1").status_code == 200


def test_a_blocked_address_does_not_use_up_an_account(settings: Settings) -> None:
    settings.STOA_LOGIN_RATE_LIMIT = 2
    accounts.create_superuser("root", GOOD, by=SYSTEM)
    for _try in range(2):
        log_in("other", "wrong", "192.0.2.1")
    for _try in range(5):
        assert log_in("root", "wrong", "192.0.2.1").status_code == 429
    assert log_in("root", GOOD, "192.0.2.2").status_code == 302


class CountingHasher(MD5PasswordHasher):
    calls = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).calls += 1
        encoded: str = super().encode(password, salt)
        return encoded


@pytest.mark.parametrize("name", ["root", "unknown", "oidc-alice", "switched-off"])
def test_every_answer_takes_one_hash(settings: Settings, name: str) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    accounts.create_superuser("root", GOOD, by=SYSTEM)
    accounts.grant_rights(Actor("alice", frozenset({"cpi-admin"})), {})
    User.objects.create_user("switched-off", password=GOOD, is_active=False)
    CountingHasher.calls = 0
    log_in(name, "wrong")
    assert CountingHasher.calls == 1


# --- The right to look -----------------------------------------------------------------------------------------


@pytest.fixture
def tenant_with_traffic() -> Tenant:
    return SubscriptionFactory(application="secret-app", tenant__name="secret-tenant").tenant


def test_the_hash_of_a_password_is_not_shown(readonly_console: Client) -> None:
    user = User.objects.create_user("root", password=GOOD)
    page = readonly_console.get(page_of(user)).content.decode()
    assert user.password not in page
    assert user.password.rpartition("$")[2] not in page


@pytest.mark.usefixtures("_realm_client")
def test_the_role_for_reading_sees_everything_and_changes_nothing(tenant_with_traffic: Tenant) -> None:
    rita = Person("rita")
    assert rita.sign_in()["Location"] == "/admin/"
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert "secret-app" in rita.console.get("/admin/").content.decode()
    subscription = Subscription.objects.get()
    page = rita.console.get(list_of(Subscription)).content.decode()
    assert dialog_of(subscription, "approve") not in page
    assert answer(rita.console, dialog_of(subscription, "approve")).status_code == 403
    assert rita.console.post("/admin/auth/user/add/", {"username": "x"}).status_code == 403
    assert rita.console.post(page_of(user), {"is_superuser": "on"}).status_code == 403
    assert Subscription.objects.get().status == "pending_approval"


def test_the_role_for_reading_gives_no_right_over_rest(call_as: Any, acme: Tenant) -> None:
    rita = call_as("rita")
    for path in ("/v1/me", "/v1/tenants", "/v1/tenants/acme", "/v1/gateways"):
        assert rita.get(path).status_code in (403, 404), path


def test_a_stronger_role_and_a_weaker_one_replace_each_other() -> None:
    reader, full = (Actor("rita", frozenset({role})) for role in ("stoa-operator-readonly", "cpi-admin"))
    user = accounts.grant_rights(reader, {})
    assert user.user_permissions.exists()
    user = accounts.grant_rights(full, {})
    assert (user.is_superuser, user.user_permissions.exists()) == (True, False)
    user = accounts.grant_rights(reader, {})
    assert (user.is_superuser, user.has_perm("tenants.change_tenant")) == (False, False)
    assert [event.changes for event in events()] == [
        {},
        {"is_superuser": [False, True]},
        {"is_superuser": [True, False]},
    ]


# --- The log -------------------------------------------------------------------------------------------------


def test_a_sign_in_tells_who_and_from_where() -> None:
    accounts.create_superuser("root", GOOD, by=SYSTEM)
    log_in("root", GOOD, "192.0.2.7")
    event = events()[-1]
    assert (event.type, event.tenant_id, event.address) == ("operator.signed_in", "platform", "192.0.2.7")
    assert event.data == {"username": "root", "method": "password"}
    assert "root" in event.actor


def test_a_flood_of_failures_makes_few_events(settings: Settings) -> None:
    settings.STOA_LOGIN_RATE_LIMIT = 10_000
    accounts.create_superuser("root", GOOD, by=SYSTEM)
    with time_machine.travel(time.time(), tick=False):  # the window of an hour must not end in between
        for n in range(12):
            log_in("root", "wrong")
            log_in(f"my-password-{n}", "wrong")
    failures = [event.data for event in events() if event.type == "operator.sign_in_failed"]
    assert [(data["account"], data["failures_this_hour"]) for data in failures] == [
        ("root", 1),
        (None, 1),
        ("root", 10),
        (None, 10),
    ]
    assert "my-password" not in str(failures)


def test_what_the_console_does_to_accounts_is_logged(console: Client) -> None:
    new = {"username": "ann", "password1": GOOD, "password2": GOOD, "usable_password": "true"}
    console.post("/admin/auth/user/add/", new)
    ann = User.objects.get(username="ann")
    rights = {"username": "ann", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    console.post(page_of(ann), rights)
    form = {"password1": f"{GOOD}-2", "password2": f"{GOOD}-2", "usable_password": "true", "set-password": "1"}
    console.post(f"/admin/auth/user/{ann.pk}/password/", form)
    console.post(f"/admin/auth/user/{ann.pk}/delete/", {"post": "yes"})
    assert types() == [
        "operator.created",
        "operator.rights_changed",
        "operator.password_changed",
        "operator.deleted",
    ]
    assert events()[1].changes == {"is_staff": [False, True], "is_superuser": [False, True]}
    assert all("olga" in event.actor and event.address for event in events())
    assert GOOD not in str([event.data for event in events()])


def test_an_own_new_password_ends_the_other_sessions() -> None:
    user = accounts.create_superuser("root", GOOD, by=SYSTEM)
    here, elsewhere = signed_in(user), signed_in(user)
    form = {"old_password": GOOD, "new_password1": f"{GOOD}-2", "new_password2": f"{GOOD}-2"}
    assert here.post("/admin/password_change/", form | {"old_password": "wrong"}).status_code == 200
    assert types() == ["operator.created"]
    assert here.post("/admin/password_change/", form).status_code == 302
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302
    assert OperatorSession.objects.filter(user=user).count() == 1
    assert types() == ["operator.created", "operator.password_changed"]


def test_a_secret_that_is_shown_is_logged(console: Client) -> None:
    key = ApiKeyFactory()
    shown = answer(console, dialog_of(key, "rotate"), overlap_hours="0").content.decode()
    assert "stoa_" in shown
    [event] = events()
    assert (event.type, event.data) == ("operator.secret_shown", {"kind": "apikeys.ApiKey", "object_id": key.id})


def test_no_webhook_may_have_these_events(acme: Tenant) -> None:
    accounts.create_superuser("root", GOOD, by=SYSTEM)
    assert fan_out_events() == 1
    assert not Delivery.objects.exists()
    assert not [name for name in TYPES if name.startswith("operator.")]


@pytest.mark.django_db(transaction=True)
def test_of_two_checks_at_once_one_logs_the_new_rights() -> None:
    actor = Actor("rita", frozenset({"stoa-operator-readonly"}))
    accounts.grant_rights(actor, {})
    promoted = Actor("rita", frozenset({"cpi-admin"}))
    at_once(*[lambda: accounts.grant_rights(promoted, {})] * 4)
    assert types() == ["operator.created", "operator.rights_changed"]


def test_the_settings_name_the_backends_that_exist() -> None:
    assert "django.contrib.auth.backends.ModelBackend" not in django_settings.AUTHENTICATION_BACKENDS
