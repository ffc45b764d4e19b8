"""Which keys of a JWK set may verify a signature."""

import pytest

from stoa_cp.identity.signing_keys import parse_keys
from tests.kernel.identity.provider import base64url, ec_jwk, rsa_jwk, rsa_key


def test_a_key_verifies_its_own_algorithm_only() -> None:
    keys = parse_keys({"keys": [rsa_jwk("first"), ec_jwk("curve"), rsa_jwk("second", alg="PS256")]})
    assert {kid: key.algorithms for kid, key in keys.items()} == {
        "first": {"RS256"},
        "curve": {"ES256"},
        "second": {"PS256"},
    }


def test_a_key_without_an_algorithm_verifies_those_of_its_type() -> None:
    jwk = rsa_jwk("first")
    del jwk["alg"]
    algorithms = parse_keys({"keys": [jwk]})["first"].algorithms
    assert {"RS256", "PS256"} <= algorithms
    assert not {"HS256", "ES256"} & algorithms


def test_a_key_without_a_use_is_for_signatures() -> None:
    jwk = rsa_jwk("first")
    del jwk["use"]
    assert "first" in parse_keys({"keys": [jwk]})


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(rsa_jwk("first", use="enc", alg="RSA-OAEP"), id="for encryption"),
        pytest.param(rsa_jwk("first", alg="HS256"), id="a public key as a shared secret"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "first", "use": "sig"}, id="a shared secret"),
        pytest.param(rsa_jwk("first", d="AQAB"), id="a private key"),
        pytest.param(rsa_jwk("first", kid=None), id="without a name"),
        pytest.param(rsa_jwk("first", kid=7), id="a number for a name"),
        pytest.param(rsa_jwk("first", n="AQAB"), id="too short"),
        pytest.param(rsa_jwk("first", n=12), id="a number for a modulus"),
        pytest.param(rsa_jwk("first", alg=["RS256"]), id="a list for an algorithm"),
        pytest.param(ec_jwk("first", crv={}), id="no curve"),
        pytest.param(ec_jwk("first", x="AAAA"), id="a point off the curve"),
        pytest.param({}, id="empty"),
        pytest.param("first", id="no object"),
    ],
)
def test_an_odd_key_is_left_out_and_the_others_stay(jwk: object) -> None:
    assert list(parse_keys({"keys": [jwk, rsa_jwk("good")]})) == ["good"]


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "first"}])
def test_an_odd_document_holds_no_keys(document: dict[str, object]) -> None:
    assert parse_keys(document) == {}


def test_an_rsa_key_of_1024_bits_is_left_out() -> None:
    short = rsa_key("short", 1024).public_key().public_numbers()
    length = (short.n.bit_length() + 7) // 8
    assert parse_keys({"keys": [rsa_jwk("first", n=base64url(short.n.to_bytes(length, "big")))]}) == {}
