"""An operator decides about subscriptions from their list, in a real browser."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from apikeys.models import ApiKey, KeySecret
from stoa_cp.crypto.credentials import digest
from stoa_cp.domain.actors import operator
from stoa_cp.operators.models import OperatorSession
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.services.approvals import reject_subscription
from tests.factories import SubscriptionFactory
from tests.kernel.console.pages import list_of, page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pending(transactional_db: None) -> Subscription:
    return SubscriptionFactory(application="web-shop")


def open_dialog(admin_page: Page, step: str) -> None:
    """Open a dialog from the menu of the list's only row."""
    admin_page.get_by_role("button", name="Actions").click()
    admin_page.get_by_role("button", name=step).click()
    expect(admin_page.locator("#dialog")).to_be_visible()


def open_approvals(admin_page: Page) -> None:
    admin_page.locator("#nav-sidebar-apps").get_by_text("Approvals").click()
    admin_page.wait_for_url("**status__exact=pending_approval")


def press(admin_page: Page, button: str) -> None:
    admin_page.locator("#dialog").get_by_role("button", name=button).click()


def test_a_subscription_is_approved_from_the_list(admin_page: Page, pending: Subscription) -> None:
    open_approvals(admin_page)
    open_dialog(admin_page, "Approve")
    expect(admin_page.get_by_label("Rate limit")).to_have_value("1000")
    expect(admin_page.get_by_label("Quota")).to_have_value("50000")

    admin_page.get_by_label("Rate limit").fill("500")
    press(admin_page, "Approve")
    shown = admin_page.locator(".secret").inner_text()
    press(admin_page, "Done")

    expect(admin_page.get_by_text("No results found")).to_be_visible()
    subscription = Subscription.objects.get()
    assert (subscription.status, subscription.rate_limit) == (SubscriptionStatus.ACTIVE, 500)
    assert bytes(KeySecret.objects.get().digest) == digest(shown)


def test_the_key_can_be_copied_and_is_not_shown_again(admin_page: Page, pending: Subscription) -> None:
    admin_page.goto(page_of(pending))
    admin_page.get_by_role("link", name="Approve").click()
    press(admin_page, "Approve")
    shown = admin_page.locator(".secret").inner_text()
    press(admin_page, "Copy")
    expect(admin_page.get_by_text("Copied")).to_be_visible()
    press(admin_page, "Done")
    expect(admin_page.get_by_role("link", name="Suspend")).to_be_visible()

    admin_page.goto(list_of(ApiKey))
    assert shown not in admin_page.content()
    assert shown[:14] in admin_page.content()


def test_a_double_click_approves_once_and_shows_the_key(admin_page: Page, pending: Subscription) -> None:
    open_approvals(admin_page)
    open_dialog(admin_page, "Approve")
    admin_page.locator("#dialog").get_by_role("button", name="Approve").dblclick()

    expect(admin_page.locator(".secret")).to_have_text(re.compile(r"^stoa_live_\w{46}$"))
    admin_page.wait_for_load_state("networkidle")
    expect(admin_page.locator(".secret")).to_be_visible()
    assert ApiKey.objects.count() == 1


def test_who_comes_second_gets_a_warning(admin_page: Page, pending: Subscription) -> None:
    open_approvals(admin_page)
    open_dialog(admin_page, "Approve")
    reject_subscription(pending, "", by=operator("somebody else"))
    press(admin_page, "Approve")

    expect(admin_page.get_by_text("The subscription is rejected.")).to_be_visible()
    assert Subscription.objects.get().status == SubscriptionStatus.REJECTED


def test_a_refused_field_is_marked_and_can_be_corrected(admin_page: Page, pending: Subscription) -> None:
    open_approvals(admin_page)
    open_dialog(admin_page, "Approve")
    admin_page.get_by_label("Expires at").fill("2020-01-01T00:00")
    press(admin_page, "Approve")
    expect(admin_page.get_by_text("This time has passed already.")).to_be_visible()

    admin_page.get_by_label("Expires at").fill("2999-01-01T00:00")
    press(admin_page, "Approve")

    expect(admin_page.locator(".secret")).to_be_visible()


def test_a_subscription_is_rejected_with_a_reason(admin_page: Page, pending: Subscription) -> None:
    open_approvals(admin_page)
    open_dialog(admin_page, "Reject")
    admin_page.get_by_label("Reason").fill("No contract")
    press(admin_page, "Reject")

    expect(admin_page.get_by_text("web-shop is rejected.")).to_be_visible()
    assert Subscription.objects.get().status_reason == "No contract"


def test_a_dialog_that_is_cancelled_changes_nothing(admin_page: Page, pending: Subscription) -> None:
    open_approvals(admin_page)
    open_dialog(admin_page, "Reject")
    admin_page.locator("#dialog").get_by_text("Cancel").click()

    expect(admin_page.locator("#dialog")).not_to_be_visible()
    assert Subscription.objects.get().status == SubscriptionStatus.PENDING_APPROVAL


def test_after_the_session_has_ended_a_dialog_leads_to_the_login(admin_page: Page, pending: Subscription) -> None:
    open_approvals(admin_page)
    OperatorSession.objects.all().delete()
    admin_page.get_by_role("button", name="Actions").click()
    admin_page.get_by_role("button", name="Approve").click()

    expect(admin_page.get_by_label("Username")).to_be_visible()


def test_a_failure_is_said(admin_page: Page, pending: Subscription, browser_errors: list[str]) -> None:
    said: list[str] = []
    admin_page.on("dialog", lambda alert: (said.append(alert.message), alert.dismiss()))
    open_approvals(admin_page)
    open_dialog(admin_page, "Approve")
    User.objects.update(is_superuser=False)
    with admin_page.expect_event("dialog"):
        press(admin_page, "Approve")

    assert said == ["Insufficient permissions"]
    assert [error for error in browser_errors if "403" not in error] == []
    browser_errors.clear()
