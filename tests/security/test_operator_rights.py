"""What staff of the console see: what their rights show, and nothing of tenants without any."""

import pytest
from django.contrib.auth.models import Permission, User

from apikeys.models import ApiKey
from catalog.models import Gateway
from stoa_cp.eventlog.models import Event
from stoa_cp.operators.models import OperatorSession
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.conftest import signed_in
from tests.factories import SubscriptionFactory
from tests.kernel.console.pages import list_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant_with_traffic() -> Tenant:
    return SubscriptionFactory(application="secret-app", tenant__name="secret-tenant").tenant


def test_staff_without_rights_see_nothing_of_tenants(tenant_with_traffic: Tenant) -> None:
    client = signed_in(User.objects.create_user("new", is_staff=True))
    page = client.get("/admin/").content.decode()
    for word in (
        "secret-app",
        "secret-tenant",
        "Pending",
        "Active subscriptions",
        "Top tenants",
        "Requests",
        "/tenant/",
    ):
        assert word not in page, word
    assert client.get(list_of(OperatorSession)).status_code == 200  # their own
    search = client.get("/admin/search/", {"s": "secret", "extended": "1"}).content.decode()
    assert "secret-tenant" not in search
    for model in (Tenant, Subscription, ApiKey, Gateway, Event, User):
        assert client.get(list_of(model)).status_code == 403
    query = {"app_label": "tenants", "model_name": "subscription", "field_name": "tenant"}
    assert client.get("/admin/autocomplete/", query).status_code == 403


def test_a_part_of_the_rights_shows_a_part_of_the_page(tenant_with_traffic: Tenant) -> None:
    user = User.objects.create_user("auditor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_subscription"))
    page = signed_in(user).get("/admin/").content.decode()
    assert "secret-app" in page
    assert "Top tenants" not in page
