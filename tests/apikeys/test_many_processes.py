"""Several web processes together: none answers `valid` after a revocation, and limits are exact."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from threading import Event as Flag
from threading import Thread

import pytest

from apikeys.models import ApiKey, Meter
from apikeys.services import keys
from apikeys.services.revocations import revoke_key
from catalog.authentication import HEADER
from catalog.models import Api
from catalog.services.gateways import create_gateway
from stoa_cp.caching.models import CacheLease
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import delete_api_and_subscriptions, resume_subscription, suspend_subscription
from tenants.services import resume_tenant, suspend_tenant
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.listening import cut_listeners
from tests.sessions import end_other_sessions
from tests.stores import redis_server

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = int(os.environ.get("STOA_REVOCATIONS", "50")) // 5  # per kind of revocation; each is asked of every process


@pytest.fixture(scope="module", params=["cached", "cached, with Redis", "not cached"])
def started(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: object
) -> Iterator[list[WebProcess]]:
    with ExitStack() as stack:
        environment = {"STOA_DECISION_CACHE": str(request.param != "not cached")}
        if request.param == "cached, with Redis":
            environment["STOA_COUNTER_URL"] = stack.enter_context(redis_server())
        servers = stack.enter_context(web_processes(*[Application(environment=environment)] * 4))
        yield servers
        for server in servers:
            server.kill()


@pytest.fixture
def servers(db: None, started: list[WebProcess]) -> Iterator[list[WebProcess]]:
    token = create_gateway("edge-1", by=SYSTEM).secret
    for server in started:
        server.token = token
        server.resume()
    yield started
    # The tables are emptied next, with which a statement of theirs could deadlock.
    for server in started:
        server.stop()
    end_other_sessions()


@pytest.fixture
def mobile() -> Subscription:
    tenant = TenantFactory(name="acme")
    api = ApiFactory(tenant=tenant, name="payments", path="/payments")
    return subscription_to(api)


def subscription_to(api: Api) -> Subscription:
    plan = PlanFactory(tenant=api.tenant)
    return SubscriptionFactory(tenant=api.tenant, api=api, plan=plan, active=True, rate_limit=None, quota=None)


@pytest.fixture
def under_load(servers: list[WebProcess], mobile: Subscription) -> Iterator[list[WebProcess]]:
    """The servers, each busy with calls of another key."""
    busy = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM).secret
    stop, failures = Flag(), list[str]()

    def load(server: WebProcess) -> None:
        while not stop.is_set():
            code = server.verify(busy)
            if code not in ("valid", "tenant_suspended", "subscription_suspended", "subscription_revoked"):
                failures.append(code)
        server.close()

    threads = [Thread(target=load, args=[server.twin()]) for server in servers]
    for thread in threads:
        thread.start()
    yield servers
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures


# What is done to a key, and what undoes it for the next round.
Step = Callable[[ApiKey], object]
ENDS: dict[str, tuple[Step, Step]] = {
    "revoke": (lambda key: revoke_key(key, by=SYSTEM), lambda _key: None),
    "rotate out": (lambda key: keys.rotate_key(key, 0, by=SYSTEM), lambda _key: None),
    "suspend the subscription": (
        lambda key: suspend_subscription(key.subscription, "", by=SYSTEM),
        lambda key: resume_subscription(key.subscription, by=SYSTEM),
    ),
    "suspend the tenant": (
        lambda key: suspend_tenant(key.tenant, "", by=SYSTEM),
        lambda key: resume_tenant(key.tenant, by=SYSTEM),
    ),
}


def codes(servers: list[WebProcess], pool: ThreadPoolExecutor, secret: str) -> set[str]:
    """Ask each server often enough for it to cache the key."""
    return {code for _time in range(3) for code in pool.map(lambda server: server.verify(secret), servers)}


@pytest.mark.parametrize("kind", ENDS)
def test_no_process_says_valid_after_the_answer(under_load: list[WebProcess], mobile: Subscription, kind: str) -> None:
    end, undo = ENDS[kind]
    with ThreadPoolExecutor(len(under_load)) as pool:
        for _round in range(ROUNDS):
            issued = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM)
            key, secret = issued.resource, issued.secret
            assert codes(under_load, pool, secret) == {"valid"}
            end(key)
            assert "valid" not in codes(under_load, pool, secret)
            undo(key)


def test_no_process_says_valid_after_the_api_is_deleted(under_load: list[WebProcess], mobile: Subscription) -> None:
    with ThreadPoolExecutor(len(under_load)) as pool:
        for _round in range(ROUNDS):
            api = ApiFactory(tenant=mobile.tenant)
            secret = keys.issue_key(subscription_to(api), keys.NewKey(), by=SYSTEM).secret
            assert codes(under_load, pool, secret) == {"valid"}
            delete_api_and_subscriptions(api, cascade=True, by=SYSTEM)
            assert codes(under_load, pool, secret) == {"subscription_revoked"}


@pytest.mark.parametrize("is_cut", [False, True], ids=["asleep", "asleep, and its listener is cut"])
def test_a_process_that_slept_through_a_revocation_refuses_as_well(
    under_load: list[WebProcess],
    mobile: Subscription,
    is_cut: bool,  # noqa: FBT001 - a column
) -> None:
    sleeper = under_load[0]
    issued = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM)
    key, secret = issued.resource, issued.secret
    with ThreadPoolExecutor(len(under_load)) as pool:
        assert codes(under_load, pool, secret) == {"valid"}
        with sleeper.stopped():
            if is_cut:
                cut_listeners()
            revoke_key(key, by=SYSTEM)
            asked = pool.submit(sleeper.verify, secret)
            assert codes(under_load[1:], pool, secret) == {"key_revoked"}
            assert not asked.done()
        assert asked.result(timeout=10) == "key_revoked"


def test_a_process_whose_listener_is_cut_refuses_as_well(under_load: list[WebProcess], mobile: Subscription) -> None:
    with ThreadPoolExecutor(len(under_load)) as pool:
        for _round in range(ROUNDS):
            issued = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM)
            key, secret = issued.resource, issued.secret
            assert codes(under_load, pool, secret) == {"valid"}
            cut_listeners()
            revoke_key(key, by=SYSTEM)
            assert codes(under_load, pool, secret) == {"key_revoked"}


def test_a_limit_is_exact_while_processes_hold_tokens(servers: list[WebProcess], mobile: Subscription) -> None:
    Subscription.objects.update(rate_limit=2_000)
    secret = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM).secret

    def use_up(server: WebProcess) -> int:
        passed = 0
        while server.verify(secret) == "valid":
            passed += 1
        return passed

    with ThreadPoolExecutor(len(servers)) as pool:
        assert sum(pool.map(use_up, servers)) == 2_000
    assert Meter.objects.get().hour_calls == 2_000


def test_a_server_that_stops_returns_its_tokens(db: None, mobile: Subscription) -> None:
    token = create_gateway("edge-1", by=SYSTEM).secret
    secret = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM).secret
    with web_processes(Application()) as (server,):
        server.token = token
        assert {server.verify(secret) for _call in range(20)} == {"valid"}
    assert Meter.objects.get().month_calls == 20
    assert not CacheLease.objects.exists()


def test_of_64_calls_over_four_processes_with_ten_left_ten_pass(
    servers: list[WebProcess], mobile: Subscription
) -> None:
    Subscription.objects.update(rate_limit=10, quota=10)
    Api.objects.update(requests_per_hour=10)
    secrets = [keys.issue_key(mobile, keys.NewKey(), by=SYSTEM).secret for _key in range(2)]

    def call(number: int) -> int:
        twin = servers[number % len(servers)].twin()
        headers = {"X-Forwarded-Uri": "/acme/payments", "X-API-Key": secrets[number % 2]}
        status, _headers, _body = twin.ask("GET", "/v1/gateway/authorize", headers)
        twin.close()
        return status

    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(call, range(64)))

    assert sorted(set(statuses)) == [200, 429]
    assert statuses.count(200) == 10


def test_the_server_passes_on_any_method_and_body(servers: list[WebProcess], mobile: Subscription) -> None:
    secret = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM).secret
    asked = {"X-Forwarded-Uri": "/acme/payments", "X-API-Key": secret}
    for method, body in (("POST", b"x" * 300_000), ("PURGE", b"y"), ("HEAD", b""), ("GET", b"")):
        twin = servers[0].twin()  # the server closes a connection on which a body was left unread
        status, headers, answer = twin.ask(method, "/v1/gateway/authorize", asked, body)
        twin.close()
        assert (status, answer) == (200, b"")
        assert headers["x-stoa-application"] == mobile.application


@pytest.mark.parametrize("doubled", ["X-API-Key", "X-Forwarded-Uri"])
def test_doubled_headers_are_refused(servers: list[WebProcess], mobile: Subscription, doubled: str) -> None:
    ApiFactory(tenant=mobile.tenant, path="/", auth_required=False)
    secret = keys.issue_key(mobile, keys.NewKey(), by=SYSTEM).secret
    sent = {"X-Forwarded-Uri": "/acme/payments", "X-API-Key": secret, HEADER: servers[0].token}
    connection = HTTPConnection("127.0.0.1", servers[0].port)
    connection.putrequest("GET", "/v1/gateway/authorize")
    for name, value in [*sent.items(), (doubled, sent[doubled])]:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == (401 if doubled == "X-API-Key" else 404)
    assert response.headers["X-Stoa-Reason"] == ("key_malformed" if doubled == "X-API-Key" else "route_unknown")
    connection.close()
