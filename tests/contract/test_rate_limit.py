"""How many calls of this API a caller has: counted per tenant, exact, and told on every answer."""

import pytest
from django.core.cache import caches
from django.db import OperationalError
from pytest_django.fixtures import Settings

from stoa_cp.ratelimit.limiter import RATE
from tenants.models import Tenant
from tests.conftest import Caller
from tests.races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def free(acme: Tenant) -> Tenant:
    """Acme on the free tier: 100 calls an hour."""
    Tenant.objects.filter(pk=acme.pk).update(tier="free")
    return acme


def remaining(response: object) -> int:
    return int(response["X-RateLimit-Remaining"])  # type: ignore[index]


def test_the_tier_sets_the_limit(alice: Caller, acme: Tenant) -> None:
    for tier, limit in {"free": 100, "starter": 1_000, "business": 10_000, "enterprise": 100_000}.items():
        Tenant.objects.filter(pk=acme.pk).update(tier=tier)
        assert alice.get("/v1/tenants/acme")["X-RateLimit-Limit"] == str(limit)


def test_a_change_of_tier_keeps_the_count(alice: Caller, acme: Tenant) -> None:
    alice.get("/v1/tenants/acme")
    Tenant.objects.filter(pk=acme.pk).update(tier="free")

    assert remaining(alice.get("/v1/tenants/acme")) == 98


def test_settings_multiply_and_replace(alice: Caller, acme: Tenant) -> None:
    Tenant.objects.filter(pk=acme.pk).update(tier="enterprise", rate_limit_per_hour=500, rate_limit_multiplier=2.5)

    assert alice.get("/v1/tenants/acme")["X-RateLimit-Limit"] == "1250"


def test_all_tokens_of_a_tenant_count_together(alice: Caller, victor: Caller, free: Tenant) -> None:
    alice.get("/v1/tenants/acme")

    assert remaining(victor.get("/v1/tenants/acme")) == 98


def test_refusals_count_too(alice: Caller, free: Tenant) -> None:
    alice.get("/v1/nowhere")

    assert remaining(alice.get("/v1/tenants/acme")) == 98


def test_after_the_last_call_there_is_a_429(alice: Caller, free: Tenant) -> None:
    Tenant.objects.filter(pk=free.pk).update(rate_limit_multiplier=0.1)
    for _call in range(10):
        last = alice.get("/v1/tenants/acme")
    refused = alice.get("/v1/tenants/acme")

    assert (last.status_code, remaining(last)) == (200, 0)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limited"
    assert remaining(refused) == 0
    assert 0 < int(refused["Retry-After"]) <= 3600


def test_an_exhausted_tenant_can_be_helped_by_the_platform(alice: Caller, olga: Caller, free: Tenant) -> None:
    Tenant.objects.filter(pk=free.pk).update(rate_limit_multiplier=0.1)
    for _call in range(11):
        alice.get("/v1/tenants/acme")

    assert olga.patch("/v1/tenants/acme", {"tier": "business"}).status_code == 200
    assert alice.get("/v1/tenants/acme").status_code == 200


def test_strangers_are_counted_by_address(anonymous: Caller, settings: Settings) -> None:
    settings.STOA_ANONYMOUS_RATE_LIMIT = 2
    settings.STOA_TRUSTED_PROXIES = ["127.0.0.1/32", "10.0.0.0/8"]

    def statuses(forwarded: str) -> list[int]:
        return [anonymous.get("/v1/tenants", X_Forwarded_For=forwarded).status_code for _call in range(3)]

    assert statuses("203.0.113.1, 10.0.0.1") == [401, 401, 429]
    assert statuses("203.0.113.2") == [401, 401, 429]
    # What the caller writes itself, left of the last untrusted hop, changes nothing.
    assert statuses("198.51.100.7, 203.0.113.2, 10.9.9.9") == [429, 429, 429]


def test_without_a_trusted_proxy_nothing_is_believed(anonymous: Caller, settings: Settings) -> None:
    settings.STOA_ANONYMOUS_RATE_LIMIT = 1
    first = anonymous.get("/v1/tenants", X_Forwarded_For="203.0.113.1").status_code
    second = anonymous.get("/v1/tenants", X_Forwarded_For="203.0.113.2").status_code

    assert (first, second) == (401, 429)


def test_when_the_counters_are_away_calls_pass(
    alice: Caller, acme: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(caches["counters"].__class__, "add", fail)

    assert alice.get("/v1/tenants/acme").status_code == 200
    assert "rate_limit_not_counted" in caplog.text


def test_the_limit_is_not_part_of_the_key() -> None:
    assert RATE[0] == 1


@pytest.mark.django_db(transaction=True)
def test_of_64_at_once_exactly_the_ten_that_are_left_pass(alice: Caller, acme: Tenant) -> None:
    Tenant.objects.filter(pk=acme.pk).update(tier="free", rate_limit_multiplier=0.5)
    for _call in range(40):
        alice.get("/v1/tenants/acme")

    answers = at_once(*[lambda: alice.get("/v1/tenants/acme").status_code] * 64)

    assert sorted(answers) == [200] * 10 + [429] * 54
