"""GET /v1/gateway/config: everything a gateway needs, and only when it is new."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest
import yaml
from django.db import close_old_connections, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys.gateway import long_poll
from apikeys.gateway.exporters import FORMATS
from apikeys.models import ApiKey, KeySecret
from apikeys.services.keys import rotate_key
from apikeys.services.revocations import revoke_key
from catalog.authentication import HEADER
from catalog.models import Api
from catalog.services.apis import update_api
from stoa_cp.crypto.credentials import digest, new_credential
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import suspend_subscription
from tenants.models import Tenant
from tenants.services import suspend_tenant
from tests.answers import invalid, refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory, ApiKeyFactory, GatewayFactory, SubscriptionFactory

URL = "/v1/gateway/config"
Ask = Callable[..., Any]


@pytest.fixture
def ask(db: None) -> Ask:
    """Ask as the gateway edge-1: ``ask("?wait=1", If_None_Match=…)``."""
    token = new_credential("stoa_gtw_")
    GatewayFactory(name="edge-1", token_digest=digest(token))
    client = Client(raise_request_exception=False)

    def get(query: str = "", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get(URL + query, headers={HEADER: token} | named)

    return get


@pytest.fixture
def payments(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme, path="/payments", upstream_url="https://pay.example.com/v2", requests_per_hour=100)


@pytest.fixture
def mobile(payments: Api) -> Subscription:
    return SubscriptionFactory(tenant=payments.tenant, api=payments, application="mobile", active=True)


@pytest.fixture
def key(mobile: Subscription) -> ApiKey:
    return ApiKeyFactory(subscription=mobile)


@pytest.mark.django_db
def test_it_holds_routes_limits_and_digests(ask: Ask, key: ApiKey, mobile: Subscription, payments: Api) -> None:
    document = ask().json()
    assert document["routes"] == [
        {
            "api_id": payments.id,
            "tenant_id": payments.tenant_id,
            "tenant": "acme",
            "path": "/acme/payments",
            "upstream_url": "https://pay.example.com/v2",
            "sandbox_url": None,
            "auth_required": True,
            "rate_limit": {"requests_per_hour": 100},
            "status": "active",
        }
    ]
    assert document["subscriptions"][0]["id"] == mobile.id
    assert document["subscriptions"][0]["quota"] == 50_000
    assert document["keys"][0]["id"] == key.id
    assert document["keys"][0]["digest"] == bytes(KeySecret.objects.get().digest).hex()
    assert document["digest_algorithm"] == "hmac-sha256"


@pytest.mark.django_db
def test_the_longest_path_comes_first(ask: Ask, acme: Tenant) -> None:
    for path in ("/", "/pay", "/payments/refunds", "/payments"):
        ApiFactory(tenant=acme, path=path)
    paths = [route["path"] for route in ask().json()["routes"]]
    assert paths == ["/acme/payments/refunds", "/acme/payments", "/acme/pay", "/acme"]


@pytest.mark.django_db
def test_what_opens_nothing_is_not_in_it(ask: Ask, key: ApiKey, mobile: Subscription) -> None:
    rotate_key(key, 3600, by=SYSTEM)
    assert [secret["id"] for secret in ask().json()["keys"]] == [key.id, key.id]
    revoke_key(key, by=SYSTEM)
    assert ask().json()["keys"] == []
    suspend_subscription(mobile, "", by=SYSTEM)
    assert ask().json()["subscriptions"] == []


@pytest.mark.django_db
def test_a_suspended_tenants_routes_are_off(ask: Ask, payments: Api) -> None:
    suspend_tenant(payments.tenant, "", by=SYSTEM)
    assert ask().json()["routes"][0]["status"] == "inactive"


@pytest.mark.django_db
def test_what_is_known_is_not_sent_again(ask: Ask, key: ApiKey, payments: Api) -> None:
    tag = ask()["ETag"]
    unchanged = ask(If_None_Match=tag)
    assert (unchanged.status_code, unchanged.content, unchanged["ETag"]) == (304, b"", tag)
    update_api(payments, {"upstream_url": "https://new.example.com"}, by=SYSTEM)
    changed = ask(If_None_Match=tag)
    assert changed.status_code == 200
    assert changed["ETag"] != tag


@pytest.mark.django_db
def test_what_is_known_is_not_read_again_before_an_event(ask: Ask, key: ApiKey, payments: Api) -> None:
    tag = ask()["ETag"]
    with CaptureQueriesContext(connection) as queries:
        assert ask(If_None_Match=tag).status_code == 304
    assert not any('FROM "apikeys_apikey"' in (query["sql"] or "") for query in queries)


@pytest.mark.django_db
def test_what_has_ended_by_time_is_found_within_a_minute(
    ask: Ask, key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = ask()["ETag"]
    ApiKey.objects.update(expires_at=timezone.now())
    assert ask(If_None_Match=tag).status_code == 304
    later = monotonic() + long_poll.MAX_WAIT_SECONDS
    monkeypatch.setattr(long_poll, "monotonic", lambda: later)
    assert ask(If_None_Match=tag).json()["keys"] == []


@pytest.mark.parametrize("program", FORMATS)
@pytest.mark.django_db
def test_it_is_exported_as_a_programs_configuration(ask: Ask, key: ApiKey, program: str) -> None:
    response = ask(f"?format={program}")
    assert response.status_code == 200
    assert ask(f"?format={program}", If_None_Match=response["ETag"]).status_code == 304
    if response["Content-Type"].startswith("application/yaml"):
        assert yaml.safe_load(response.content)


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("?format=iis", invalid("format", "invalid_choice")),
        ("?wait=-1", invalid("wait", "min_value")),
        ("?wait=61", invalid("wait", "max_value")),
        ("?wait=soon", invalid("wait")),
        ("?since=1", invalid("since", "unknown_field")),
    ],
)
@pytest.mark.django_db
def test_a_strange_question_is_refused(ask: Ask, query: str, refusal: Any) -> None:
    assert refusal_of(ask(query)) == refusal


@pytest.mark.django_db
def test_only_gateways_and_the_platform_may_know(alice: Caller, olga: Caller, anonymous: Caller) -> None:
    assert [caller.get(URL).status_code for caller in (anonymous, alice, olga)] == [401, 403, 200]


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "POLL_SECONDS", 0.05)


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Run something in another thread of the web server, as it were."""
    with ThreadPoolExecutor(max_workers=1) as threads:

        def run(call: Callable[[], Any]) -> Any:
            def closing() -> Any:
                try:
                    return call()
                finally:
                    close_old_connections()

            return threads.submit(closing)

        yield run


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick_polls")
def test_a_waiting_gateway_gets_a_change(ask: Ask, key: ApiKey, elsewhere: Callable[[Callable[[], Any]], Any]) -> None:
    tag = ask()["ETag"]
    waiting = elsewhere(lambda: ask("?wait=30", If_None_Match=tag))
    revoke_key(key, by=SYSTEM)

    response = waiting.result(timeout=20)  # it would have waited for 30 s

    assert response.status_code == 200
    assert response.json()["keys"] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick_polls")
@pytest.mark.deadline
def test_the_wait_ends_when_nothing_happens(ask: Ask) -> None:
    tag = ask()["ETag"]
    started = monotonic()
    assert ask("?wait=1", If_None_Match=tag).status_code == 304
    assert 1 <= monotonic() - started < 20


@pytest.mark.django_db
@pytest.mark.deadline
def test_too_many_gateways_do_not_wait(ask: Ask) -> None:
    """The others' threads stay free; who is turned away is told when to ask again."""
    tag = ask()["ETag"]
    started = monotonic()
    with ExitStack() as slots:
        for _slot in range(long_poll.MAX_WAITING_PER_PROCESS):
            slots.enter_context(long_poll.long_poll_slots)
        response = ask("?wait=30", If_None_Match=tag)
    assert response.status_code == 304
    assert int(response["Retry-After"]) > 0
    assert monotonic() - started < 20  # it would have waited for 30 s
