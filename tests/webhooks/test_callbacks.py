"""A subscription's ``callback_url``: told that subscription's own events, by the same worker."""

import json

import pytest
from standardwebhooks import Webhook as Verifier

from stoa_cp.crypto.encryption import encrypt
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import suspend_subscription, update_subscription
from tenants.models import Tenant
from tests.conftest import Caller
from tests.factories import PlanFactory, SubscriptionFactory
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import SECRET, an_event
from tests.webhooks.receivers import Receiver, Reply
from webhooks.models import Webhook, WebhookStatus

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(acme: Tenant, receiver: Receiver) -> Subscription:
    created: Subscription = SubscriptionFactory(
        tenant=acme, active=True, callback_url=receiver.url, callback_secret=encrypt(SECRET)
    )
    return created


def types_at(receiver: Receiver) -> list[str]:
    return [json.loads(request.body)["type"] for request in receiver.received]


def test_it_is_told_its_own_events_signed(subscription: Subscription, receiver: Receiver, drain: Drain) -> None:
    suspend_subscription(subscription, "unpaid", by=SYSTEM)
    drain()
    (request,) = receiver.received
    payload = Verifier(SECRET).verify(request.body, dict(request.headers))
    assert (payload["type"], payload["data"]["id"]) == ("subscription.suspended", subscription.id)


def test_it_is_told_of_its_quota(subscription: Subscription, receiver: Receiver, acme: Tenant, drain: Drain) -> None:
    an_event(acme, "quota.warning", id="", subscription_id=subscription.id)
    an_event(acme, "quota.warning", id="", subscription_id="sub-0000000000000000")
    drain()
    assert types_at(receiver) == ["quota.warning"]


def test_it_is_told_nothing_else(subscription: Subscription, receiver: Receiver, acme: Tenant, drain: Drain) -> None:
    other = SubscriptionFactory(tenant=acme, active=True)
    suspend_subscription(subscription, "", by=SYSTEM)
    suspend_subscription(other, "", by=SYSTEM)
    an_event(acme, "tenant.updated")
    an_event(acme, "apikey.created", subscription_id=subscription.id)
    drain()
    assert types_at(receiver) == ["subscription.suspended"]


def test_it_follows_the_url(subscription: Subscription, receiver: Receiver, drain: Drain) -> None:
    suspend_subscription(subscription, "", by=SYSTEM)
    drain()
    update_subscription(subscription, {"callback_url": f"{receiver.url}/moved"}, by=SYSTEM)
    drain()
    assert [request.path for request in receiver.received] == ["/hook", "/hook/moved"]
    assert Webhook.objects.count() == 1


def test_it_ends_with_the_url_and_comes_back_with_it(
    subscription: Subscription, receiver: Receiver, drain: Drain
) -> None:
    suspend_subscription(subscription, "", by=SYSTEM)
    drain()
    update_subscription(subscription, {"callback_url": None}, by=SYSTEM)
    drain()
    assert len(receiver.received) == 1
    Subscription.objects.update(callback_secret=encrypt(SECRET))
    update_subscription(subscription, {"callback_url": receiver.url}, by=SYSTEM)
    drain()
    assert types_at(receiver) == ["subscription.suspended", "subscription.updated"]


def test_a_callback_that_is_gone_is_told_nothing_more_until_it_moves(
    subscription: Subscription, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(410)
    suspend_subscription(subscription, "", by=SYSTEM)
    drain()
    assert Webhook.objects.get().status == WebhookStatus.DISABLED
    receiver.reply = Reply(200)
    an_event(acme, "subscription.resumed", id=subscription.id)
    drain()
    assert len(receiver.received) == 1
    update_subscription(subscription, {"callback_url": f"{receiver.url}/moved"}, by=SYSTEM)
    drain()
    assert Webhook.objects.get().status == WebhookStatus.ENABLED
    assert types_at(receiver)[1:] != []


def test_it_is_in_no_list_of_webhooks(subscription: Subscription, drain: Drain, alice: Caller) -> None:
    suspend_subscription(subscription, "", by=SYSTEM)
    drain()
    callback = Webhook.objects.get()
    assert alice.get("/v1/tenants/acme/webhooks").json()["total"] == 0
    for path in ("", "/deliveries"):
        assert alice.get(f"/v1/tenants/acme/webhooks/{callback.id}{path}").status_code == 404


def test_a_subscription_over_rest_hears_of_its_approval(
    acme: Tenant, receiver: Receiver, drain: Drain, alice: Caller
) -> None:
    PlanFactory(tenant=acme, slug="standard")
    api = alice.post(
        "/v1/tenants/acme/apis", {"name": "payments", "upstream_url": "https://pay.example.com", "path": "/payments"}
    ).json()
    wanted = {"api_id": api["id"], "plan": "standard", "application": "mobile-app", "callback_url": receiver.url}
    created = alice.post("/v1/tenants/acme/subscriptions", wanted).json()
    alice.post(f"/v1/tenants/acme/subscriptions/{created['id']}/approve", {})
    drain()
    assert sorted(types_at(receiver)) == ["subscription.approved", "subscription.created"]
    for request in receiver.received:
        Verifier(created["callback_secret"]).verify(request.body, dict(request.headers))
