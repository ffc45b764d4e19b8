"""The command ``approve``."""

import pytest

from apikeys.models import ApiKey
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.commands import refusal_of_command, run
from tests.factories import SubscriptionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, application="mobile-app")


def test_a_subscription_is_approved_and_its_key_printed(subscription: Subscription) -> None:
    line, secret = run("approve", subscription.id, "--as", "olga")

    assert line == f"Subscription {subscription.id} of mobile-app is approved."
    assert ApiKey.objects.get().start == secret[:14] + "…"
    subscription.refresh_from_db()
    assert (subscription.status, subscription.decided_by) == ("active", "stoa:operator:olga")
    assert (subscription.rate_limit, subscription.quota) == (1000, 50000)


def test_other_terms_are_options(subscription: Subscription) -> None:
    terms = ["--rate-limit", "5", "--quota", "unlimited", "--expires-at", "2126-01-09T00:00:00Z"]

    run("approve", subscription.id, *terms, "--no-key")

    subscription.refresh_from_db()
    assert (subscription.rate_limit, subscription.quota) == (5, None)
    assert str(subscription.expires_at) == "2126-01-09 00:00:00+00:00"
    assert not ApiKey.objects.exists()


def test_what_rest_refuses_is_refused_with_the_same_sentences(subscription: Subscription) -> None:
    assert refusal_of_command("approve", "sub-0123456789abcdef") == "There is no subscription sub-0123456789abcdef."
    assert refusal_of_command("approve", subscription.id, "--rate-limit", "0").startswith("rate_limit: ")
    assert refusal_of_command("approve", subscription.id, "--expires-at", "tomorrow").startswith("expires_at: ")
    past = refusal_of_command("approve", subscription.id, "--expires-at", "2020-01-01T00:00:00Z")
    assert past == "expires_at: This time has passed already."
    run("approve", subscription.id)
    assert refusal_of_command("approve", subscription.id) == "The subscription is active."
