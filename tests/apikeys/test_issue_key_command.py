"""The command ``issue_key``."""

import pytest

from apikeys.models import ApiKey
from tenants.models import Tenant
from tests import log
from tests.commands import refusal_of_command, run
from tests.factories import SubscriptionFactory

pytestmark = pytest.mark.django_db


def test_a_key_is_issued_and_its_secret_printed(acme: Tenant) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True)
    options = ["--name", "Production", "--mode", "test", "--expires-at", "2126-01-09T00:00:00Z", "--as", "olga"]

    line, secret = run("issue_key", subscription.id, *options)

    key = ApiKey.objects.get()
    assert line == f"Key Production ({key.id}) has this secret, which is not shown again:"
    assert secret.startswith("stoa_test_")
    assert (key.mode, key.start) == ("test", secret[:14] + "…")
    assert key.expires_at is not None
    assert log.last_event().actor == "stoa:operator:olga"


def test_a_key_is_issued_for_somewhere(acme: Tenant) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True)
    where = [
        "--allowed-ips",
        "198.51.100.7",
        "2001:db8::/32",
        "--allowed-methods",
        "GET",
        "--allowed-paths",
        "/refunds/",
    ]

    run("issue_key", subscription.id, "--name", "Office", *where)

    key = ApiKey.objects.get()
    assert (key.allowed_ips, key.allowed_methods) == (["198.51.100.7/32", "2001:db8::/32"], ["GET"])
    assert key.allowed_paths == ["/refunds"]


def test_what_rest_refuses_is_refused_with_the_same_sentences(acme: Tenant) -> None:
    pending, active = SubscriptionFactory(tenant=acme), SubscriptionFactory(tenant=acme, active=True)

    def refused(subscription_id: str, *options: str) -> str:
        return refusal_of_command("issue_key", subscription_id, "--name", "key", *options)

    assert refused("sub-0123456789abcdef") == "There is no subscription sub-0123456789abcdef."
    assert refused(pending.id) == "The subscription is pending approval."
    assert refused(active.id, "--mode", "demo").startswith("mode: ")
    assert refused(active.id, "--expires-at", "2020-01-01T00:00:00Z") == "expires_at: This time has passed already."
    assert refused(active.id, "--allowed-ips", "office").startswith("allowed_ips")
    assert not ApiKey.objects.exists()
