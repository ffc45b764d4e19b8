"""How the provider's keys are fetched, stored and, after a day, no longer trusted."""

import time
from functools import partial
from hashlib import sha256

import pytest
from pytest_django import Settings

from stoa_cp.identity.authentication import TokenInvalid, authenticate_bearer, recent_tokens
from stoa_cp.identity.jwks import (
    FRESH_SECONDS,
    SECONDS_BETWEEN_FETCHES,
    USABLE_SECONDS,
    IdentityProviderUnavailable,
    KeyStore,
    signing_keys,
)
from stoa_cp.identity.models import SigningKeySet
from tests.kernel.conftest import restart_process
from tests.kernel.identity.conftest import ShiftedClock, settle
from tests.kernel.identity.provider import Provider, rsa_jwk, rsa_key, sign
from tests.races import at_once

pytestmark = pytest.mark.django_db

STALE_SECONDS = FRESH_SECONDS + 1


def call(provider: Provider, number: int = 0, kid: str = "first") -> str:
    """Authenticate with a token that the process has not seen yet."""
    return authenticate_bearer(f"Bearer {provider.token(kid=kid, jti=str(number))}").id


@pytest.mark.usefixtures("store")
def test_keys_are_fetched_once_for_many_tokens(provider: Provider) -> None:
    for number in range(20):
        call(provider, number)
    assert provider.fetches == 1


def test_a_configured_address_replaces_discovery(provider: Provider, settings: Settings) -> None:
    settings.STOA_OIDC_JWKS_URL = provider.jwks_url
    settings.STOA_OIDC_ISSUER = "https://provider.example/realms/stoa"
    token = provider.token(iss="https://provider.example/realms/stoa")
    assert authenticate_bearer(f"Bearer {token}").tenants == ("acme",)


def test_an_old_set_is_fetched_anew_behind_the_callers_back(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    clock.seconds_ahead += STALE_SECONDS
    call(provider)
    settle(store)
    assert provider.fetches == 2


def test_a_remembered_token_keeps_the_keys_fresh_too(provider: Provider, store: KeyStore, clock: ShiftedClock) -> None:
    header = f"Bearer {provider.token()}"
    authenticate_bearer(header)
    clock.seconds_ahead += STALE_SECONDS
    authenticate_bearer(header)
    settle(store)
    assert provider.fetches == 2


def test_no_call_with_a_known_key_is_refused_while_the_provider_is_away(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    provider.stop()
    clock.seconds_ahead += STALE_SECONDS
    for number in range(50):
        assert call(provider, number)
    settle(store)
    clock.seconds_ahead += USABLE_SECONDS - 2 * STALE_SECONDS
    assert call(provider, 51)
    provider.start_again()


def test_after_a_day_without_the_provider_its_keys_are_given_up(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    provider.stop()
    clock.seconds_ahead += USABLE_SECONDS + 1
    with pytest.raises(IdentityProviderUnavailable):
        call(provider)
    provider.start_again()
    settle(store)
    clock.seconds_ahead += SECONDS_BETWEEN_FETCHES
    with pytest.raises(IdentityProviderUnavailable):  # no call waits for a provider that was away
        call(provider)
    settle(store)
    assert call(provider)


@pytest.mark.deadline
def test_a_silent_provider_delays_no_call_with_a_known_key(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    rounds = []
    for number in range(3):  # the quickest of three: noise of the machine only ever adds
        provider.mood = "healthy"
        clock.seconds_ahead = 0
        usual = slowest_of_32(provider, f"usual-{number}")
        provider.mood = "silent"
        clock.seconds_ahead += STALE_SECONDS
        rounds.append(slowest_of_32(provider, f"silent-{number}") - usual)
        provider.released.set()
        settle(store)
        provider.released.clear()
    assert min(rounds) <= 0.05


def slowest_of_32(provider: Provider, prefix: str) -> float:
    headers = [f"Bearer {provider.token(jti=f'{prefix}-{number}')}" for number in range(32)]

    def seconds(header: str) -> float:
        start = time.perf_counter()
        authenticate_bearer(header)
        return time.perf_counter() - start

    return max(at_once(*[partial(seconds, header) for header in headers], connects=False))


def test_a_thousand_unknown_keys_cost_the_provider_one_fetch(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    clock.seconds_ahead += SECONDS_BETWEEN_FETCHES
    before, start = provider.fetches, time.monotonic()
    for number in range(1_000):
        with pytest.raises(TokenInvalid):
            authenticate_bearer(f"Bearer {forged(provider, f'guess-{number}')}")
    allowed = 1 + int((time.monotonic() - start) / SECONDS_BETWEEN_FETCHES)
    assert 1 <= provider.fetches - before <= allowed


def forged(provider: Provider, kid: str) -> str:
    return sign(provider.claims(), rsa_key("attacker"), kid=kid)


@pytest.mark.django_db(transaction=True)
def test_a_crowd_at_a_cold_process_makes_one_fetch(provider: Provider) -> None:
    headers = [f"Bearer {provider.token(jti=str(number))}" for number in range(16)]
    actors = at_once(*[partial(authenticate_bearer, header) for header in headers], connects=False)
    assert {actor.id for actor in actors} == {"5f0c1d3e-alice"}
    assert provider.fetches == 1


def test_a_caller_who_was_overtaken_by_the_first_fetch_stores_nothing(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = signing_keys()

    def be_overtaken() -> bool:
        monkeypatch.undo()
        assert keys.get_or_fetch("first")
        return True

    monkeypatch.setattr(keys, "_is_store_due", be_overtaken)

    assert keys.get_cached("first") is None
    keys.store_if_changed()
    assert SigningKeySet.objects.get().document == {"keys": provider.keys}


def test_keys_changed_at_the_provider_are_accepted_within_ten_seconds(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    old = f"Bearer {provider.token()}"
    authenticate_bearer(old)
    provider.keys = [rsa_jwk("second")]
    with pytest.raises(TokenInvalid):
        call(provider, kid="second")
    assert SECONDS_BETWEEN_FETCHES <= 10
    clock.seconds_ahead += SECONDS_BETWEEN_FETCHES
    assert call(provider, kid="second")
    with pytest.raises(TokenInvalid):  # although it was remembered and has not expired
        authenticate_bearer(old)


def test_an_unchanged_set_lets_remembered_tokens_live(provider: Provider, store: KeyStore, clock: ShiftedClock) -> None:
    token = provider.token()
    authenticate_bearer(f"Bearer {token}")
    clock.seconds_ahead += STALE_SECONDS
    store.refresh_if_due()
    settle(store)
    assert provider.fetches == 2
    assert recent_tokens.get(sha256(token.encode()).digest(), store)


def test_a_new_key_under_an_old_name_ends_the_old_tokens(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    old = f"Bearer {provider.token()}"
    authenticate_bearer(old)
    provider.keys = [rsa_jwk("second", kid="first")]
    clock.seconds_ahead += STALE_SECONDS
    store.refresh_if_due()
    settle(store)
    with pytest.raises(TokenInvalid):
        authenticate_bearer(old)


def test_an_unknown_key_is_an_error_of_ours_while_the_provider_is_away(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    provider.mood = "broken"
    clock.seconds_ahead += SECONDS_BETWEEN_FETCHES
    with pytest.raises(IdentityProviderUnavailable) as refusal:
        call(provider, kid="second")
    assert (refusal.value.code, refusal.value.detail_code) == ("internal_error", "unavailable")


@pytest.mark.deadline
def test_only_the_first_caller_waits_for_a_silent_provider(provider: Provider) -> None:
    provider.mood = "silent"
    start = time.monotonic()
    with pytest.raises(IdentityProviderUnavailable):
        call(provider)
    assert time.monotonic() - start < 10
    settle(signing_keys())
    start = time.monotonic()
    with pytest.raises(IdentityProviderUnavailable):
        call(provider)
    assert time.monotonic() - start < 1.5  # it would have been 2


@pytest.mark.usefixtures("store")
def test_a_restart_while_the_provider_is_away_goes_on_with_the_stored_set(provider: Provider) -> None:
    provider.stop()
    restart_process()
    assert call(provider)
    provider.start_again()


@pytest.mark.usefixtures("store")
def test_a_stored_set_older_than_a_day_is_worth_nothing(provider: Provider) -> None:
    stored = SigningKeySet.objects.get()
    stored.fetched_at = stored.fetched_at.replace(year=2020)
    stored.save()
    provider.stop()
    restart_process()
    with pytest.raises(IdentityProviderUnavailable):
        call(provider)
    provider.start_again()


def test_a_set_without_usable_keys_does_not_replace_a_good_one(
    provider: Provider, store: KeyStore, clock: ShiftedClock
) -> None:
    provider.keys = []
    clock.seconds_ahead += STALE_SECONDS
    store.refresh_if_due()
    settle(store)
    assert call(provider)
