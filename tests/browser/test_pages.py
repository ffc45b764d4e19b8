"""The console's pages work under our Content-Security-Policy, without errors and without a foreign host."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from apikeys.models import ApiKey
from catalog.models import Api, Gateway
from stoa_cp.eventlog.models import Event
from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests.factories import ApiKeyFactory
from tests.kernel.console.pages import list_of, page_of
from tests.metrics.traffic import record_of, report

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_main_page_loads_without_a_complaint(admin_page: Page) -> None:
    key = ApiKeyFactory()
    models = (Tenant, Api, Plan, Subscription, ApiKey, Gateway, Event)
    rows = (key, key.subscription, key.tenant, key.subscription.api)

    for path in ("/admin/", *map(list_of, models), *map(page_of, rows)):
        response = admin_page.goto(path)
        admin_page.wait_for_load_state("networkidle")
        assert response is not None
        assert "default-src 'self'" in response.headers["content-security-policy"]


def test_the_dashboard_draws_its_chart(admin_page: Page) -> None:
    report(record_of(ApiKeyFactory().subscription))
    admin_page.goto("/admin/")

    expect(admin_page.locator("canvas.chart")).to_be_visible()
    drawn = admin_page.evaluate("Chart.getChart(document.querySelector('canvas.chart')).data.datasets[0].data")
    assert drawn == [0] * 29 + [1]


def test_the_theme_follows_the_system(admin_page: Page) -> None:
    admin_page.emulate_media(color_scheme="dark")
    admin_page.reload()

    expect(admin_page.locator("html")).to_have_class("dark")


def test_an_operator_signs_in_with_a_password(page: Page) -> None:
    User.objects.create_superuser("olga", password="correct horse")
    page.goto("/admin/tenants/tenant/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()

    page.wait_for_url("**/admin/tenants/tenant/")


def test_a_tenant_is_created_from_its_list(admin_page: Page) -> None:
    admin_page.goto(list_of(Tenant))
    admin_page.get_by_role("link", name="New tenant").click()
    admin_page.get_by_label("Name").fill("acme")
    admin_page.get_by_label("Administrator’s address").fill("ann@acme.example")
    admin_page.locator("#dialog").get_by_role("button", name="Create").click()

    expect(admin_page.get_by_text("acme is being set up.")).to_be_visible()
    assert Tenant.objects.get().status == "provisioning"


def test_a_gateways_token_is_shown_once(admin_page: Page) -> None:
    admin_page.goto(list_of(Gateway))
    admin_page.get_by_role("link", name="Register gateway").click()
    admin_page.get_by_label("Name").fill("edge-1")
    admin_page.locator("#dialog").get_by_role("button", name="Register").click()
    token = admin_page.locator(".secret").inner_text()
    admin_page.keyboard.press("Escape")

    expect(admin_page.get_by_text("edge-1")).to_be_visible()
    assert token not in admin_page.content()


def test_the_menu_can_be_worked_by_keyboard(admin_page: Page) -> None:
    ApiKeyFactory()
    admin_page.goto(list_of(ApiKey))
    admin_page.get_by_role("button", name="Actions").focus()
    admin_page.keyboard.press("Enter")
    admin_page.get_by_role("button", name="Revoke").focus()
    admin_page.keyboard.press("Enter")

    expect(admin_page.get_by_text("It is refused at once and for good.")).to_be_visible()
