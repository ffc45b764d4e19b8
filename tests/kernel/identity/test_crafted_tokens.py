"""Tokens made to deceive: every one is a 401, and none makes the provider answer to the attacker's wish."""

from typing import Any

import pytest

from stoa_cp.identity.authentication import TokenExpired, TokenInvalid, authenticate_bearer
from tests.kernel.identity.crafted_tokens import CRAFTED, Craft, claiming, forging, heading
from tests.kernel.identity.provider import Provider, base64url, ec_jwk, rsa_jwk, rsa_key, sign

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("craft", CRAFTED.values(), ids=CRAFTED.keys())
def test_a_crafted_token_is_refused(provider: Provider, craft: Craft) -> None:
    provider.keys = [rsa_jwk("first"), rsa_jwk("enc", use="enc"), ec_jwk("curve")]
    with pytest.raises((TokenInvalid, TokenExpired)) as refusal:
        authenticate_bearer(f"Bearer {craft(provider)}")
    assert refusal.value.code == "unauthorized"


def test_a_key_address_in_the_header_is_not_visited(provider: Provider) -> None:
    with Provider() as attacker:
        address = {"jku": attacker.jwks_url, "x5u": attacker.jwks_url}
        token = sign(provider.claims(), rsa_key("attacker"), kid="mine", **address)
        with pytest.raises(TokenInvalid):
            authenticate_bearer(f"Bearer {token}")
        assert attacker.fetches == 0


@pytest.mark.parametrize("header", [{"alg": "HS256"}, {"typ": "logout+jwt"}, {"crit": ["exp"]}])
def test_a_hopeless_token_does_not_make_us_ask_the_provider(provider: Provider, header: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        authenticate_bearer(f"Bearer {base64url({'alg': 'RS256', 'kid': 'other'} | header)}.e30.AAAA")
    assert provider.fetches == 0


def test_a_refusal_does_not_say_what_was_wrong(provider: Provider) -> None:
    messages = set()
    for craft in (forging(), claiming(aud="account"), claiming(typ="ID"), heading(kid="unknown")):
        with pytest.raises(TokenInvalid) as refusal:
            authenticate_bearer(f"Bearer {craft(provider)}")
        messages.add(str(refusal.value))
    assert len(messages) == 1
