"""Which actor a valid token gives, and what the same token costs the next time."""

import time
from hashlib import sha256

import pytest
import time_machine

from stoa_cp.identity import authentication
from stoa_cp.identity.authentication import TokenExpired, TokenMissing, authenticate_bearer, recent_tokens
from stoa_cp.identity.jwks import KeyStore
from stoa_cp.identity.tokens import LEEWAY_SECONDS, verify_access_token
from tests.kernel.identity.provider import LIFETIME_SECONDS, Provider, ec_jwk, ec_key, rsa_jwk, rsa_key, sign

pytestmark = pytest.mark.django_db


def actor_of(provider: Provider, **changes: object) -> authentication.Actor:
    return authenticate_bearer(f"Bearer {provider.token(**changes)}")


def test_a_token_names_its_bearer(provider: Provider) -> None:
    actor = actor_of(provider)
    assert (actor.id, actor.roles, actor.tenants) == ("5f0c1d3e-alice", {"tenant-admin"}, ("acme",))
    assert actor.is_authenticated
    assert not actor.is_anonymous
    assert not actor.is_platform
    assert actor.pk == actor.id


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "  Bearer"])
def test_the_scheme_is_read_in_any_case(provider: Provider, scheme: str) -> None:
    assert authenticate_bearer(f"{scheme} {provider.token()} ").id


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWxpY2U6cHc=", "BearereyJ0"])
def test_without_a_bearer_token_the_error_says_that_it_is_missing(header: str) -> None:
    with pytest.raises(TokenMissing) as refusal:
        authenticate_bearer(header)
    assert (refusal.value.code, refusal.value.detail_code) == ("unauthorized", "token_missing")


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/at+JWT", None])
def test_both_names_of_an_access_token_are_known(provider: Provider, kind: str | None) -> None:
    token = sign(provider.claims(), rsa_key("first"), kid="first", typ=kind)
    assert authenticate_bearer(f"Bearer {token}").id


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_each_of_the_usual_algorithms_is_accepted(provider: Provider, algorithm: str) -> None:
    provider.keys = [ec_jwk("key") if algorithm == "ES256" else rsa_jwk("key", alg=algorithm)]
    key = ec_key("key") if algorithm == "ES256" else rsa_key("key")
    assert authenticate_bearer(f"Bearer {sign(provider.claims(), key, alg=algorithm, kid='key')}").id


def test_a_client_credentials_token_without_our_audience_is_known_by_its_client(provider: Provider) -> None:
    assert actor_of(provider, aud="account", azp="ci-robot").id == "5f0c1d3e-alice"


def test_a_service_account_without_a_subject_is_its_client(provider: Provider) -> None:
    assert actor_of(provider, sub=None, azp="ci-robot").id == "ci-robot"


def test_clocks_may_differ_by_half_a_minute(provider: Provider) -> None:
    now = int(time.time())
    assert actor_of(provider, exp=now - LEEWAY_SECONDS + 5).id
    assert actor_of(provider, iat=now + LEEWAY_SECONDS - 5, nbf=now + LEEWAY_SECONDS - 5).id


def test_an_expired_token_says_so(provider: Provider) -> None:
    with pytest.raises(TokenExpired) as refusal:
        actor_of(provider, exp=int(time.time()) - LEEWAY_SECONDS - 5)
    assert (refusal.value.code, refusal.value.detail_code) == ("unauthorized", "token_expired")


def test_a_remembered_token_does_not_outlive_its_expiry(provider: Provider, store: KeyStore) -> None:
    token = provider.token()
    authenticate_bearer(f"Bearer {token}")
    digest = sha256(token.encode()).digest()
    assert recent_tokens.get(digest, store)
    with time_machine.travel(time.time() + LIFETIME_SECONDS + 1):
        assert recent_tokens.get(digest, store) is None  # not even in the leeway
    with (
        time_machine.travel(time.time() + LIFETIME_SECONDS + LEEWAY_SECONDS + 1),
        pytest.raises(TokenExpired),
    ):
        authenticate_bearer(f"Bearer {token}")


def test_tokens_are_remembered_by_digest_and_within_bounds(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_RECENT_TOKENS", 3)
    tokens = [provider.token(jti=str(number)) for number in range(5)]
    for token in tokens:
        authenticate_bearer(f"Bearer {token}")
    assert [token for token in tokens if sha256(token.encode()).digest() in recent_tokens] == tokens[2:]
    assert len(recent_tokens) == 3


@pytest.mark.usefixtures("store")
def test_a_repeated_token_is_not_verified_again(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    token = provider.token()
    verified = []

    def verify(token: str) -> object:
        verified.append(token)
        return verify_access_token(token)

    monkeypatch.setattr(authentication, "verify_access_token", verify)
    for _call in range(3):
        authenticate_bearer(f"Bearer {token}")
    assert verified == [token]
