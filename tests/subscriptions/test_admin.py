"""Subscriptions are decided in the console's dialogs, which call the same services as the REST API."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apikeys.models import ApiKey, KeySecret
from stoa_cp.crypto.credentials import digest
from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription, SubscriptionStatus
from tests.factories import SubscriptionFactory
from tests.kernel.console.pages import answer, dialog_of, list_of, page_of, said

pytestmark = pytest.mark.django_db

TERMS = {"rate_limit": "500", "quota": "", "expires_at": ""}


@pytest.fixture
def pending() -> Subscription:
    return SubscriptionFactory(application="web-shop")


@pytest.fixture
def active() -> Subscription:
    return SubscriptionFactory(application="web-shop", active=True)


def actions_offered(console: Client, subscription: Subscription) -> set[str]:
    """Return the actions that the subscription's page offers; its row in the list must offer the same."""
    pages = [console.get(url).content.decode() for url in (page_of(subscription), list_of(Subscription))]
    on_page, in_list = ({action for action in ACTIONS if dialog_of(subscription, action) in page} for page in pages)
    assert on_page == in_list
    return on_page


ACTIONS = ("approve", "reject", "suspend", "resume", "revoke")


def test_the_dialog_begins_with_the_plans_terms(console: Client, pending: Subscription) -> None:
    dialog = console.get(dialog_of(pending, "approve")).content.decode()

    assert "The consumer gets its API key at once." in dialog
    assert re.search(r'name="rate_limit"[^>]*value="1000"|value="1000"[^>]*name="rate_limit"', dialog)
    assert re.search(r'name="quota"[^>]*value="50000"|value="50000"[^>]*name="quota"', dialog)


def test_the_dialog_keeps_what_was_agreed_while_the_subscription_waited(console: Client, pending: Subscription) -> None:
    pending.rate_limit, pending.expires_at = 7, datetime(2999, 12, 31, 23, 59, tzinfo=UTC)
    pending.save()

    dialog = console.get(dialog_of(pending, "approve")).content.decode()

    assert 'value="7"' in dialog
    assert 'value="2999-12-31T23:59"' in dialog


def test_opening_a_dialog_changes_nothing(console: Client, pending: Subscription, active: Subscription) -> None:
    for subscription in (pending, active):
        for action in ACTIONS:
            assert console.get(dialog_of(subscription, action)).status_code == 200
        assert Subscription.objects.get(pk=subscription.pk).version == subscription.version
    assert not Event.objects.exists()


def test_an_approval_grants_the_terms_and_shows_the_key_once(console: Client, pending: Subscription) -> None:
    response = answer(console, dialog_of(pending, "approve"), **TERMS)

    subscription = Subscription.objects.get()
    assert (subscription.status, subscription.rate_limit, subscription.quota) == (SubscriptionStatus.ACTIVE, 500, None)
    assert subscription.decided_by == "stoa:operator:olga"
    shown = re.search(r"stoa_live_\w+", response.content.decode())
    assert shown is not None
    assert bytes(KeySecret.objects.get().digest) == digest(shown[0])
    assert "no-store" in response["Cache-Control"]
    assert said(response) == []
    assert shown[0] not in console.get(page_of(ApiKey.objects.get())).content.decode()


def test_the_event_names_the_operator(console: Client, pending: Subscription) -> None:
    answer(console, dialog_of(pending, "approve"), **TERMS)

    approved = Event.objects.get(type="subscription.approved")
    assert approved.actor == "stoa:operator:olga"


def test_a_second_approval_is_a_warning(console: Client, pending: Subscription) -> None:
    answer(console, dialog_of(pending, "approve"), **TERMS)
    response = answer(console, dialog_of(pending, "approve"), **TERMS)

    assert response["HX-Refresh"] == "true"
    assert said(response) == ["warning: The subscription is active."]
    assert KeySecret.objects.count() == 1


def test_what_the_form_or_the_service_refuses_is_said_beside_the_field(console: Client, pending: Subscription) -> None:
    zero = answer(console, dialog_of(pending, "approve"), **TERMS | {"rate_limit": "0"})
    past = timezone.now() - timedelta(days=1)
    late = answer(console, dialog_of(pending, "approve"), **TERMS | {"expires_at": f"{past:%Y-%m-%dT%H:%M}"})

    assert "Ensure this value is greater than or equal to 1." in zero.content.decode()
    assert "This time has passed already." in late.content.decode()
    assert Subscription.objects.get().status == SubscriptionStatus.PENDING_APPROVAL


def test_a_rejection_keeps_its_reason(console: Client, pending: Subscription) -> None:
    response = answer(console, dialog_of(pending, "reject"), reason="No contract")

    subscription = Subscription.objects.get()
    assert (subscription.status, subscription.status_reason) == (SubscriptionStatus.REJECTED, "No contract")
    assert said(response) == ["success: web-shop is rejected."]


def test_a_subscription_is_suspended_resumed_and_revoked(console: Client, active: Subscription) -> None:
    states = []
    for action in ("suspend", "resume", "revoke"):
        answer(console, dialog_of(active, action), reason="Because")
        states.append(Subscription.objects.get().status)

    assert states == [SubscriptionStatus.SUSPENDED, SubscriptionStatus.ACTIVE, SubscriptionStatus.REVOKED]
    assert set(Event.objects.values_list("actor", flat=True)) == {"stoa:operator:olga"}


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (SubscriptionStatus.PENDING_APPROVAL, {"approve", "reject"}),
        (SubscriptionStatus.ACTIVE, {"suspend", "revoke"}),
        (SubscriptionStatus.SUSPENDED, {"resume", "revoke"}),
        (SubscriptionStatus.REVOKED, set()),
    ],
)
def test_only_what_is_possible_is_offered(
    console: Client, active: Subscription, status: str, actions: set[str]
) -> None:
    active.status = status
    active.save()

    assert actions_offered(console, active) == actions


def test_a_row_that_is_gone_is_a_warning(console: Client, pending: Subscription) -> None:
    nowhere = dialog_of(pending, "approve").replace(pending.id, "sub-0000000000000000")

    response = answer(console, nowhere, **TERMS)

    assert said(response) == ["warning: Resource not found"]


def test_a_deleted_tenants_subscription_cannot_be_approved(console: Client, pending: Subscription) -> None:
    pending.tenant.status, pending.tenant.deleted_at = "deleted", timezone.now()
    pending.tenant.save()

    response = answer(console, dialog_of(pending, "approve"), **TERMS)

    assert said(response) == ["warning: Resource not found"]
    assert Subscription.objects.get().status == SubscriptionStatus.PENDING_APPROVAL
