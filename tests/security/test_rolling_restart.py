"""A new pepper comes by restarting one web process after the other: no step refuses a key or a gateway."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from apikeys.models import ApiKey, KeySecret
from apikeys.services.keys import NewKey, issue_key
from apikeys.services.revocations import revoke_key
from catalog.models import Gateway
from catalog.services.gateways import create_gateway, rotate_gateway_token
from stoa_cp.crypto.credentials import pepper_fingerprints
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.issued import Issued
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.factories import SubscriptionFactory
from tests.security.test_peppers import NEW, OLD, pass_a_minute
from tests.sessions import end_other_sessions

pytestmark = pytest.mark.django_db(transaction=True)

# The same process in the order of the runbook: before it, after the first restart, the second and the last.
LISTS = [OLD], [OLD, NEW], [NEW, OLD], [NEW]
CALLS = 4  # so many that each process has the key cached: the first calls lease few tokens


@pytest.fixture
def servers(db: None) -> Iterator[list[WebProcess]]:
    applications = [Application(environment={"STOA_KEY_PEPPERS": ",".join(peppers)}) for peppers in LISTS]
    with web_processes(*applications) as servers:
        yield servers
        # The tables are emptied next, with which a statement of theirs could deadlock.
        for server in servers:
            server.kill()
        end_other_sessions()


@pytest.fixture
def mobile(acme: Tenant, settings: Settings) -> Subscription:
    settings.STOA_KEY_PEPPERS = [OLD]
    return SubscriptionFactory(tenant=acme, active=True, rate_limit=None, quota=None)


@pytest.fixture
def key(mobile: Subscription) -> Issued[ApiKey]:
    return issue_key(mobile, NewKey(), by=SYSTEM)


@pytest.fixture
def edge(mobile: Subscription) -> Issued[Gateway]:
    return create_gateway("edge-1", by=SYSTEM)


def codes(server: WebProcess, secret: str) -> set[str]:
    return {server.verify(secret) for _call in range(CALLS)}


def test_keys_and_gateways_are_accepted_in_each_step_and_refused_in_all_after_a_revocation(
    servers: list[WebProcess], key: Issued[ApiKey], edge: Issued[Gateway], settings: Settings
) -> None:
    before, first, second, last = servers
    for server in servers:
        server.token = edge.secret
    assert codes(before, key.secret) == codes(first, key.secret) == {"valid"}

    pass_a_minute()
    for server in (first, second, first, last, second):
        assert codes(server, key.secret) == {"valid"}
    settings.STOA_KEY_PEPPERS = [NEW]
    assert KeySecret.objects.get().pepper == Gateway.objects.get().token_pepper == pepper_fingerprints()[0]

    # Why the first restart is needed: a process without it cannot read what the second one writes.
    assert before.ask("GET", "/v1/gateway/config", {})[0] == 401

    revoke_key(key.resource, by=SYSTEM)
    for server in (first, second, last):
        assert codes(server, key.secret) == {"key_revoked"}
    renewed = rotate_gateway_token(edge.resource, by=SYSTEM).secret
    for server in (first, second, last):
        assert server.ask("GET", "/v1/gateway/config", {})[0] == 401
        server.token = renewed
        assert codes(server, key.secret) == {"key_revoked"}
