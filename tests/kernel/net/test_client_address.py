"""Which address a call counts as coming from."""

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from stoa_cp.net.client_address import client_address


def address_of(remote: str, forwarded: str | None = None) -> str:
    request = RequestFactory(REMOTE_ADDR=remote).get("/", headers={"X-Forwarded-For": forwarded} if forwarded else {})
    return client_address(request)


@pytest.fixture
def behind_proxies(settings: Settings) -> None:
    settings.STOA_TRUSTED_PROXIES = ["127.0.0.1/32", "10.0.0.0/8"]


@pytest.mark.usefixtures("behind_proxies")
@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        pytest.param("127.0.0.1", "198.51.100.7", "198.51.100.7", id="one proxy"),
        pytest.param("127.0.0.1", "198.51.100.7, 10.1.2.3", "198.51.100.7", id="two proxies"),
        pytest.param("127.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7", id="what the client wrote is left of it"),
        pytest.param("198.51.100.7", "1.1.1.1", "198.51.100.7", id="no proxy of ours"),
        pytest.param("127.0.0.1", None, "127.0.0.1", id="no header"),
        pytest.param("127.0.0.1", "unknown", "127.0.0.1", id="no address"),
        pytest.param("127.0.0.1", "1.1.1.1, unknown, 10.1.2.3", "10.1.2.3", id="no address in the middle"),
        pytest.param("::ffff:127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7", id="IPv4 within IPv6"),
        pytest.param("fe80::1%eth0", None, "fe80::1", id="a zone"),
        pytest.param("", None, "0.0.0.0", id="a Unix socket"),  # noqa: S104 - compared, not bound
    ],
)
def test_the_address_is_the_rightmost_that_is_no_proxy_of_ours(
    remote: str, forwarded: str | None, address: str
) -> None:
    assert address_of(remote, forwarded) == address


def test_without_trusted_proxies_the_header_is_ignored(settings: Settings) -> None:
    settings.STOA_TRUSTED_PROXIES = []
    assert address_of("127.0.0.1", "198.51.100.7") == "127.0.0.1"
