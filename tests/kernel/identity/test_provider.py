"""What a call to the identity provider puts up with."""

import time

import pytest

from stoa_cp.identity.provider import MAX_BODY_BYTES, ProviderFailure, discover, endpoint, fetch_json
from tests.kernel.identity.provider import Provider, rsa_jwk

SECONDS = 0.5


def fetch(provider: Provider) -> float:
    """Ask for the keys and return how long the refusal took."""
    start = time.monotonic()
    with pytest.raises(ProviderFailure):
        fetch_json(provider.jwks_url, until=start + SECONDS)
    return time.monotonic() - start


@pytest.mark.deadline
@pytest.mark.parametrize("mood", ["silent", "dripping"])
def test_the_deadline_covers_the_whole_call(provider: Provider, mood: str) -> None:
    provider.mood = mood
    assert fetch(provider) <= SECONDS + 5


def test_a_redirect_is_not_followed(provider: Provider) -> None:
    provider.mood = "redirecting"
    fetch(provider)
    assert provider.fetches == 1


def test_an_endless_answer_is_not_read_to_its_end(provider: Provider) -> None:
    provider.keys = [rsa_jwk("first", x5c=["A" * MAX_BODY_BYTES])]
    fetch(provider)


def test_a_refused_connection_is_a_failure(provider: Provider) -> None:
    provider.stop()
    fetch(provider)
    provider.start_again()


def test_no_proxy_of_the_environment_is_used(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch_json(provider.jwks_url, until=time.monotonic() + SECONDS) == {"keys": provider.keys}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/", "http://[::1/", "http://127.0.0.1/\r\nX-Evil: 1", "nonsense"]
)
def test_a_nonsensical_address_is_a_failure(url: str) -> None:
    with pytest.raises(ProviderFailure):
        fetch_json(url, until=time.monotonic() + SECONDS)


def test_metadata_of_another_issuer_is_refused(provider: Provider) -> None:
    with pytest.raises(ProviderFailure, match="calls itself"):
        discover(provider.url.replace("127.0.0.1", "localhost"), until=time.monotonic() + SECONDS)


def test_an_endpoint_does_not_give_tls_up() -> None:
    metadata = {"issuer": "https://id.example", "jwks_uri": "http://id.example/certs"}
    with pytest.raises(ProviderFailure, match="without TLS"):
        endpoint(metadata, "jwks_uri")


def test_a_missing_endpoint_is_a_failure() -> None:
    with pytest.raises(ProviderFailure, match="names no token_endpoint"):
        endpoint({"issuer": "https://id.example"}, "token_endpoint")
