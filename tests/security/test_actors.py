"""One person is one actor: over REST, in the console, and in every rule. No token reads like an actor of ours."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.domain.actors import Actor
from stoa_cp.eventlog import names
from stoa_cp.eventlog.models import ActorName, Event
from stoa_cp.operators.accounts import subject_of_username, username_of
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.conftest import Caller, signed_in
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.kernel.console.pages import answer, dialog_of, list_of, page_of
from tests.kernel.identity.provider import Provider
from tests.kernel.operators.test_single_sign_on import CLIENT, access_token, begin, finish, id_token, log_in

pytestmark = pytest.mark.django_db

OLGA = "8a31-olga"


@pytest.fixture
def sso_console(client: Client, provider: Provider, settings: Settings) -> Client:
    """The console of olga, who came through the identity provider."""
    settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT, "client-secret"
    log_in(client, provider, "cpi-admin")
    return client


def test_the_console_and_rest_name_one_person_alike(sso_console: Client, provider: Provider, acme: Tenant) -> None:
    active = SubscriptionFactory(tenant=acme, active=True)

    answer(sso_console, dialog_of(active, "suspend"))
    rest = Caller(provider.token(sub=OLGA, realm_access={"roles": ["cpi-admin"]}))
    rest.post(f"/v1/tenants/acme/subscriptions/{active.id}/resume")

    assert {event.actor for event in log.events()} == {OLGA}  # her sign-in, too
    assert rest.get("/v1/me").json()["subject"] == OLGA


def test_her_own_request_stays_her_own_in_the_console(
    sso_console: Client, provider: Provider, acme: Tenant, settings: Settings
) -> None:
    settings.STOA_REQUIRE_SECOND_APPROVER = True
    rest = Caller(provider.token(sub=OLGA, realm_access={"roles": ["cpi-admin"]}))
    own = SubscriptionFactory(tenant=acme, created_by=rest.get("/v1/me").json()["subject"])

    answer(sso_console, dialog_of(own, "approve"), rate_limit="1", quota="", expires_at="")

    assert Subscription.objects.get().status == "pending_approval"


def test_a_password_makes_no_person(db: None) -> None:
    """A user whom an operator has named like another person's subject is not that person."""
    impostor = signed_in(User.objects.create_superuser(username_of(Actor(OLGA)), password="made-up"))
    active = SubscriptionFactory(active=True)

    answer(impostor, dialog_of(active, "suspend"))

    assert Event.objects.get().actor == f"stoa:operator:oidc-{OLGA}"


def test_another_username_makes_no_other_person(sso_console: Client) -> None:
    User.objects.update(username=username_of(Actor("boris")))
    active = SubscriptionFactory(active=True)

    answer(sso_console, dialog_of(active, "suspend"))

    assert Event.objects.latest("timestamp").actor == OLGA


@pytest.mark.parametrize("subject", ["auth0|1", "a+b%7C~c", "olga@example.com", "https://id.example/u?1#2", "a b"])
def test_any_subject_is_read_back_from_its_username(subject: str) -> None:
    assert subject_of_username(username_of(Actor(subject))) == subject


@pytest.mark.parametrize(
    "subject",
    ["stoa:system", "Stoa:operator:olga", "System", "Operator:operator", "gtw-0123456789abcdef", "\ud800", "\x1b[2J"],
)
def test_no_token_reads_like_an_actor_of_ours(realm: Grants, acme: Tenant, subject: str) -> None:
    claims = access_claims(PEOPLE["alice"], realm.issuer)
    for claim in ("sub", "azp"):
        impostor = Caller(realm.key.sign({name: claims[name] for name in claims if name != "sub"} | {claim: subject}))

        response = impostor.get("/v1/me")

        assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")


def test_the_longest_subject_can_be_counted_and_logged(realm: Grants, acme: Tenant) -> None:
    claims = access_claims(PEOPLE["olga"], realm.issuer) | {"sub": "x" * 255}

    response = Caller(realm.key.sign(claims)).post("/v1/tenants/acme/suspend")

    assert (response.status_code, response["X-RateLimit-Remaining"]) == (200, "99999")
    assert log.last_event().actor == "x" * 255


def test_a_name_that_cannot_be_stored_does_not_lock_out(client: Client, provider: Provider, settings: Settings) -> None:
    settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT, "client-secret"
    asked = begin(client)
    identity = id_token(provider, asked, given_name="Ol\x00ga", family_name="\ud800", email=["a"])

    finish(client, provider, asked, id_token=identity, access_token=access_token(provider, "cpi-admin"))

    user = User.objects.get()
    assert (user.first_name, user.last_name, user.email) == ("", "", "")


@pytest.mark.django_db(transaction=True)
def test_her_name_stands_beside_her_id(realm: Grants, console: Client) -> None:
    """The log has the id, which is proved and stays. The name is the last one that her tokens gave."""
    forget_stored_names()
    tenant = TenantFactory(name="acme")
    subscription = SubscriptionFactory(tenant=tenant, created_by=log.subject("alice"))
    claims = access_claims(PEOPLE["alice"], realm.issuer)
    path = f"/v1/tenants/acme/subscriptions/{subscription.id}"
    for name in ("Alice Adams", "Alice <Brown>"):
        renamed = Caller(realm.key.sign(claims | {"name": name}))
        assert renamed.post(f"{path}/approve?dry_run=true", {}).status_code == 200
        assert renamed.patch(path, {"quota": len(name)}).status_code == 200

    shown = f"Alice &lt;Brown&gt; ({log.subject('alice')})"
    for page in (list_of(Event), page_of(log.last_event()), page_of(subscription)):
        assert shown in console.get(page).content.decode()
    assert {event.actor for event in log.events()} == {log.subject("alice")}
    assert "Alice" not in log.whole_log()


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_keeps_no_name(alice: Caller) -> None:
    forget_stored_names()
    subscription = SubscriptionFactory(tenant=TenantFactory(name="acme"))

    alice.post(f"/v1/tenants/acme/subscriptions/{subscription.id}/approve?dry_run=true", {})

    assert not ActorName.objects.exists()


def forget_stored_names() -> None:
    """Let this process store names again: the database of the test before had them."""
    names.store_name.cache_clear()


def test_a_retry_is_the_persons_own(call_as: Callable[[str], Caller], acme: Tenant) -> None:
    api = ApiFactory(tenant=acme)
    body = {"api_id": api.id, "plan": PlanFactory(tenant=acme).slug, "application": "web"}
    headers = {"Idempotency-Key": "one"}

    alices = call_as("alice").post("/v1/tenants/acme/subscriptions", body, **headers)
    daves = call_as("dave").post("/v1/tenants/acme/subscriptions", body, **headers)

    assert (alices.status_code, daves.status_code) == (201, 409)
    assert "Idempotency-Replayed" not in daves
