"""Which addresses our own requests must not reach."""

import pytest
from pytest_django import Settings

from stoa_cp.net.egress import is_forbidden

# One address of each forbidden range, and its neighbours' edges where a mask could be off by one.
FORBIDDEN = [
    "0.0.0.0",  # noqa: S104 - a row of the table, nothing is bound
    "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "100::1", "2001::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip
ALLOWED = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0", "192.0.1.1", "223.255.255.255",
    "2606:4700::1111", "2a00:1450:4007:80c::200e", "::ffff:8.8.8.8",
]  # fmt: skip


@pytest.mark.usefixtures("nothing_is_allowed")
@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_special_address_is_forbidden(address: str) -> None:
    assert is_forbidden(address)


@pytest.mark.usefixtures("nothing_is_allowed")
@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_is_allowed(address: str) -> None:
    assert not is_forbidden(address)


def test_an_operator_may_allow_a_network(settings: Settings) -> None:
    settings.STOA_EGRESS_ALLOW = ["10.1.0.0/16", "fd12::/16"]
    assert [is_forbidden(address) for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1")] == [False] * 3
    assert [is_forbidden(address) for address in ("10.2.0.1", "127.0.0.1", "fd13::1")] == [True] * 3
