"""A pepper is replaced while keys and tokens are used: each use brings a digest under the newest pepper."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db.models import F
from pytest_django import DjangoAssertNumQueries, Settings

from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide, record_use
from apikeys.models import ApiKey, KeySecret
from apikeys.services.keys import NewKey, issue_key, rotate_key
from apikeys.services.revocations import revoke_key
from catalog.authentication import load_gateway
from catalog.models import Gateway
from catalog.services.gateways import create_gateway, delete_gateway, rotate_gateway_token
from stoa_cp.crypto.credentials import digest, digests, new_credential, pepper_fingerprints
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.issued import Issued
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import revoke_subscription, suspend_subscription
from tenants.models import Tenant
from tenants.services import delete_tenant
from tests.commands import refusal_of_command, run
from tests.factories import SubscriptionFactory
from tests.listening import announced
from tests.races import at_once, overtaken

pytestmark = pytest.mark.django_db

OLD, NEW = "the-old-pepper-0f1e2d3c4b5a69788796a5b4", "the-new-pepper-8796a5b4c3d2e1f00f1e2d3c"
# By `printf 'stoa pepper' | openssl dgst -sha256 -hmac <pepper>`.
OLD_NAME, NEW_NAME = "b328575e", "23be542c"


@pytest.fixture(autouse=True)
def peppers(settings: Settings) -> None:
    settings.STOA_KEY_PEPPERS = [OLD]


@pytest.fixture
def mobile(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


def issue(subscription: Subscription) -> Issued[ApiKey]:
    return issue_key(subscription, NewKey(), by=SYSTEM)


def works(secret: str) -> bool:
    return decide(Call(secret)).is_allowed


def pass_a_minute() -> None:
    """Let the next use of each key and gateway be recorded."""
    KeySecret.objects.update(last_used_at=F("last_used_at") - timedelta(seconds=61))
    Gateway.objects.update(last_seen_at=F("last_seen_at") - timedelta(seconds=61))


def test_the_name_of_a_pepper_is_the_start_of_an_hmac() -> None:
    assert pepper_fingerprints() == [OLD_NAME]


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and a gateway."""

    key: Issued[ApiKey]
    gateway: Issued[Gateway]

    def use(self) -> tuple[bool, bool]:
        """Return whether the key and the gateway's token are accepted."""
        return works(self.key.secret), load_gateway(self.gateway.secret) is not None


@pytest.fixture
def used(mobile: Subscription) -> Pair:
    return Pair(issue(mobile), create_gateway("edge-1", by=SYSTEM))


@pytest.fixture
def unused(mobile: Subscription) -> Pair:
    return Pair(issue(mobile), create_gateway("edge-2", by=SYSTEM))


def test_what_is_used_between_outlives_the_old_pepper(used: Pair, unused: Pair, settings: Settings) -> None:
    assert used.use() == (True, True)
    settings.STOA_KEY_PEPPERS = [OLD, NEW]  # the first restart
    pass_a_minute()
    assert used.use() == (True, True)
    settings.STOA_KEY_PEPPERS = [NEW, OLD]  # the second one
    assert used.use() == (True, True)  # less than a minute after its last use: nothing is written
    assert run("peppers") == [
        f"1. {NEW_NAME}: 0 secrets of keys, 0 gateway tokens.",
        f"2. {OLD_NAME}: 2 secrets of keys, 2 gateway tokens.",
        "unknown: 0 secrets of keys, 0 gateway tokens.",
    ]

    pass_a_minute()
    assert used.use() == (True, True)
    assert run("peppers")[:2] == [
        f"1. {NEW_NAME}: 1 secrets of keys, 1 gateway tokens.",
        f"2. {OLD_NAME}: 1 secrets of keys, 1 gateway tokens.",
    ]
    assert run("peppers", "--list", OLD_NAME) == [
        f"acme {unused.key.resource.id} never",
        f"- {unused.gateway.resource.id} never",
    ]
    settings.STOA_KEY_PEPPERS = [NEW]
    assert used.use() == (True, True)


def test_what_is_not_used_between_needs_the_old_pepper(used: Pair, unused: Pair, settings: Settings) -> None:
    settings.STOA_KEY_PEPPERS = [NEW, OLD]
    used.use()
    settings.STOA_KEY_PEPPERS = [NEW]

    assert unused.use() == (False, False)
    assert refusal_of_command("peppers") == (
        f"{OLD_NAME} is not in STOA_KEY_PEPPERS and is needed: 1 secrets of keys, 1 gateway tokens."
    )
    settings.STOA_KEY_PEPPERS = [NEW, OLD]  # put back, it has lost nothing
    assert unused.use() == (True, True)
    settings.STOA_KEY_PEPPERS = [NEW]
    assert unused.use() == (True, True)
    assert run("peppers")[0] == f"1. {NEW_NAME}: 2 secrets of keys, 2 gateway tokens."


def test_what_is_rotated_or_ended_needs_the_old_pepper_no_longer(
    mobile: Subscription, acme: Tenant, globex: Tenant, settings: Settings
) -> None:
    rotated, revoked, other = issue(mobile), issue(mobile), issue(SubscriptionFactory(tenant=acme, active=True))
    issue(SubscriptionFactory(tenant=globex, active=True))
    edge, deleted = create_gateway("edge-1", by=SYSTEM), create_gateway("edge-2", by=SYSTEM)
    settings.STOA_KEY_PEPPERS = [NEW, OLD]
    rotate_key(rotated.resource, 0, by=SYSTEM)
    revoke_key(revoked.resource, by=SYSTEM)
    revoke_subscription(other.resource.subscription, "", by=SYSTEM)
    delete_tenant(globex, by=SYSTEM)
    rotate_gateway_token(edge.resource, by=SYSTEM)
    delete_gateway(deleted.resource, by=SYSTEM)

    settings.STOA_KEY_PEPPERS = [NEW]
    assert run("peppers")[0] == f"1. {NEW_NAME}: 1 secrets of keys, 1 gateway tokens."


def test_a_suspended_key_still_needs_its_pepper(mobile: Subscription, settings: Settings) -> None:
    issue(mobile)
    suspend_subscription(mobile, "", by=SYSTEM)
    settings.STOA_KEY_PEPPERS = [NEW, OLD]

    assert run("peppers")[1] == f"2. {OLD_NAME}: 1 secrets of keys, 0 gateway tokens."


def test_what_an_older_release_has_stored_becomes_known_when_it_is_used(mobile: Subscription) -> None:
    key, token = issue(mobile), create_gateway("edge-1", by=SYSTEM)
    KeySecret.objects.update(pepper=None)
    Gateway.objects.update(token_pepper=None)
    assert run("peppers")[-1] == "unknown: 1 secrets of keys, 1 gateway tokens."
    assert run("peppers", "--list", "unknown") == [f"acme {key.resource.id} never", f"- {token.resource.id} never"]

    assert works(key.secret)
    assert load_gateway(token.secret)

    assert run("peppers") == [
        f"1. {OLD_NAME}: 1 secrets of keys, 1 gateway tokens.",
        "unknown: 0 secrets of keys, 0 gateway tokens.",
    ]


@pytest.mark.parametrize("newest", [[OLD], [NEW, OLD]])
def test_a_new_digest_takes_no_statement_of_its_own(
    mobile: Subscription,
    settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
    newest: list[str],
) -> None:
    secret, token = issue(mobile).secret, create_gateway("edge-1", by=SYSTEM).secret
    works(secret)
    pass_a_minute()
    settings.STOA_KEY_PEPPERS = newest

    with django_assert_num_queries(2):  # the decision, and its recorded use
        assert works(secret)
    with django_assert_num_queries(1):
        assert works(secret)
    with django_assert_num_queries(2):
        assert load_gateway(token)
    with django_assert_num_queries(1):
        assert load_gateway(token)


@pytest.mark.django_db(transaction=True)
def test_the_caches_are_told_once(mobile: Subscription, settings: Settings) -> None:
    key, edge = issue(mobile), create_gateway("edge-1", by=SYSTEM)

    def use() -> None:
        pass_a_minute()
        assert works(key.secret)
        assert load_gateway(edge.secret)

    assert announced(use) == set()
    settings.STOA_KEY_PEPPERS = [NEW, OLD]
    assert announced(use) == {key.resource.id, edge.resource.id}
    assert announced(use) == set()


@pytest.mark.django_db(transaction=True)
def test_a_use_that_a_rotation_overtakes_does_not_bring_the_old_token_back(settings: Settings) -> None:
    issued = create_gateway("edge-1", by=SYSTEM)
    renewed = new_credential("stoa_gtw_")
    settings.STOA_KEY_PEPPERS = [NEW, OLD]

    overtaken(lambda: load_gateway(issued.secret), issued.resource, token_digest=digest(renewed))

    assert load_gateway(issued.secret) is None
    assert load_gateway(renewed)


@pytest.mark.django_db(transaction=True)
def test_a_recorded_use_replaces_only_the_digest_that_was_found(mobile: Subscription, settings: Settings) -> None:
    secret = issue(mobile).secret
    settings.STOA_KEY_PEPPERS = [NEW, OLD]
    newest, found = digests(secret)
    row = KeySecret.objects.get()
    other = b"another digest".ljust(32)

    overtaken(lambda: record_use(row.pk, found, newest), row, digest=other, pepper="another")

    row.refresh_from_db()
    assert (bytes(row.digest), row.pepper) == (other, "another")


ENDS: dict[str, Callable[[ApiKey], object]] = {
    "rotated": lambda key: rotate_key(key, 0, by=SYSTEM),
    "revoked": lambda key: revoke_key(key, by=SYSTEM),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_key_that_ends_while_it_is_used_stays_ended(
    mobile: Subscription, settings: Settings, end: Callable[[ApiKey], object]
) -> None:
    for _round in range(10):
        settings.STOA_KEY_PEPPERS = [OLD]
        issued = issue(mobile)
        settings.STOA_KEY_PEPPERS = [NEW, OLD]
        at_once(lambda issued=issued: works(issued.secret), lambda issued=issued: end(issued.resource))

        assert not works(issued.secret)


@pytest.mark.django_db(transaction=True)
def test_a_token_that_is_rotated_while_it_is_used_stays_rotated(settings: Settings) -> None:
    for number in range(10):
        settings.STOA_KEY_PEPPERS = [OLD]
        issued = create_gateway(f"edge-{number}", by=SYSTEM)
        settings.STOA_KEY_PEPPERS = [NEW, OLD]
        _found, renewed = at_once(
            lambda issued=issued: load_gateway(issued.secret),
            lambda issued=issued: rotate_gateway_token(issued.resource, by=SYSTEM),
        )

        assert load_gateway(issued.secret) is None
        assert load_gateway(renewed.secret)
        assert Gateway.objects.get(pk=issued.resource.pk).token_pepper == NEW_NAME
