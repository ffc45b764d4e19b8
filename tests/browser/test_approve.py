"""An operator decides about subscriptions from their list, in a real browser."""

import re

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from apikeys.models import ApiKey, KeySecret
from stoa_cp.crypto.credentials import digest
from stoa_cp.domain.actors import operator
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.services import reject_subscription
from tests.factories import SubscriptionFactory
from tests.kernel.console.pages import list_of, page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pending(transactional_db: None) -> Subscription:
    return SubscriptionFactory(application="web-shop")


def open_dialog(desk: Page, step: str) -> None:
    """Open a dialog from the menu of the list's only row."""
    desk.get_by_role("button", name="Actions").click()
    desk.get_by_role("button", name=step).click()
    expect(desk.locator("#dialog")).to_be_visible()


def open_approvals(desk: Page) -> None:
    desk.locator("#nav-sidebar-apps").get_by_text("Approvals").click()
    desk.wait_for_url("**status__exact=pending_approval")


def press(desk: Page, button: str) -> None:
    desk.locator("#dialog").get_by_role("button", name=button).click()


def test_a_subscription_is_approved_from_the_list(desk: Page, pending: Subscription) -> None:
    open_approvals(desk)
    open_dialog(desk, "Approve")
    expect(desk.get_by_label("Rate limit")).to_have_value("1000")
    expect(desk.get_by_label("Quota")).to_have_value("50000")

    desk.get_by_label("Rate limit").fill("500")
    press(desk, "Approve")
    shown = desk.locator(".secret").inner_text()
    press(desk, "Done")

    expect(desk.get_by_text("No results found")).to_be_visible()
    subscription = Subscription.objects.get()
    assert (subscription.status, subscription.rate_limit) == (SubscriptionStatus.ACTIVE, 500)
    assert bytes(KeySecret.objects.get().digest) == digest(shown)


def test_the_key_can_be_copied_and_is_not_shown_again(desk: Page, pending: Subscription) -> None:
    desk.goto(page_of(pending))
    desk.get_by_role("link", name="Approve").click()
    press(desk, "Approve")
    shown = desk.locator(".secret").inner_text()
    press(desk, "Copy")
    expect(desk.get_by_text("Copied")).to_be_visible()
    press(desk, "Done")
    expect(desk.get_by_role("link", name="Suspend")).to_be_visible()

    desk.goto(list_of(ApiKey))
    assert shown not in desk.content()
    assert shown[:14] in desk.content()


def test_a_double_click_approves_once_and_shows_the_key(desk: Page, pending: Subscription) -> None:
    open_approvals(desk)
    open_dialog(desk, "Approve")
    desk.locator("#dialog").get_by_role("button", name="Approve").dblclick()

    expect(desk.locator(".secret")).to_have_text(re.compile(r"^stoa_live_\w{46}$"))
    desk.wait_for_load_state("networkidle")
    expect(desk.locator(".secret")).to_be_visible()
    assert ApiKey.objects.count() == 1


def test_who_comes_second_gets_a_warning(desk: Page, pending: Subscription) -> None:
    open_approvals(desk)
    open_dialog(desk, "Approve")
    reject_subscription(pending, "", by=operator("somebody else"))
    press(desk, "Approve")

    expect(desk.get_by_text("The subscription is rejected.")).to_be_visible()
    assert Subscription.objects.get().status == SubscriptionStatus.REJECTED


def test_a_refused_field_is_marked_and_can_be_corrected(desk: Page, pending: Subscription) -> None:
    open_approvals(desk)
    open_dialog(desk, "Approve")
    desk.get_by_label("Expires at").fill("2020-01-01T00:00")
    press(desk, "Approve")
    expect(desk.get_by_text("This time has passed already.")).to_be_visible()

    desk.get_by_label("Expires at").fill("2999-01-01T00:00")
    press(desk, "Approve")

    expect(desk.locator(".secret")).to_be_visible()


def test_a_subscription_is_rejected_with_a_reason(desk: Page, pending: Subscription) -> None:
    open_approvals(desk)
    open_dialog(desk, "Reject")
    desk.get_by_label("Reason").fill("No contract")
    press(desk, "Reject")

    expect(desk.get_by_text("web-shop is rejected.")).to_be_visible()
    assert Subscription.objects.get().status_reason == "No contract"


def test_a_dialog_that_is_cancelled_changes_nothing(desk: Page, pending: Subscription) -> None:
    open_approvals(desk)
    open_dialog(desk, "Reject")
    desk.locator("#dialog").get_by_text("Cancel").click()

    expect(desk.locator("#dialog")).not_to_be_visible()
    assert Subscription.objects.get().status == SubscriptionStatus.PENDING_APPROVAL


def test_after_the_session_has_ended_a_dialog_leads_to_the_login(desk: Page, pending: Subscription) -> None:
    open_approvals(desk)
    Session.objects.all().delete()
    desk.get_by_role("button", name="Actions").click()
    desk.get_by_role("button", name="Approve").click()

    expect(desk.get_by_label("Username")).to_be_visible()


def test_a_failure_is_said(desk: Page, pending: Subscription, complaints: list[str]) -> None:
    said: list[str] = []
    desk.on("dialog", lambda alert: (said.append(alert.message), alert.dismiss()))
    open_approvals(desk)
    open_dialog(desk, "Approve")
    User.objects.update(is_superuser=False)
    with desk.expect_event("dialog"):
        press(desk, "Approve")

    assert said == ["Insufficient permissions"]
    assert [complaint for complaint in complaints if "403" not in complaint] == []
    complaints.clear()
