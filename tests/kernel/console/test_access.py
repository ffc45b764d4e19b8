"""Who gets into the console, and what they may do there."""

import pytest
from django.test import Client
from django.urls import reverse

from subscriptions.models import Subscription
from tests.factories import SubscriptionFactory
from tests.kernel.console.pages import answer, dialog_of, list_of

pytestmark = pytest.mark.django_db


def test_nobody_gets_in_without_signing_in() -> None:
    response = Client().get("/admin/")

    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login"))


def test_a_user_who_is_no_operator_is_refused(outsider_console: Client) -> None:
    subscription = SubscriptionFactory()

    for response in (
        outsider_console.get("/admin/"),
        outsider_console.get(list_of(Subscription)),
        answer(outsider_console, dialog_of(subscription, "approve")),
    ):
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("admin:login"))
    assert Subscription.objects.get().status == "pending_approval"


def test_who_may_only_look_is_offered_nothing_and_refused(readonly_console: Client) -> None:
    subscription = SubscriptionFactory()

    page = readonly_console.get(list_of(Subscription))
    response = answer(readonly_console, dialog_of(subscription, "approve"))

    assert page.status_code == 200
    assert dialog_of(subscription, "approve") not in page.content.decode()
    assert response.status_code == 403
    assert Subscription.objects.get().status == "pending_approval"


def test_the_sidebar_lists_what_the_user_may_see(db: None, console: Client) -> None:
    page = console.get("/admin/").content.decode()

    for link in (list_of(Subscription), "/docs", "status__exact=pending_approval"):
        assert link in page


def test_the_login_page_offers_single_sign_on(db: None) -> None:
    page = Client().get(reverse("admin:login"), {"next": "/admin/tenants/tenant/"}).content.decode()

    assert f"{reverse('oidc_authentication_init')}?next=/admin/tenants/tenant/" in page
