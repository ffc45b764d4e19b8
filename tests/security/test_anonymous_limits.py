"""Callers without a token share a limit per address; a whole IPv6 network of one customer is one address."""

import pytest
from django.test import RequestFactory

from stoa_cp.net.client_address import client_network
from stoa_cp.ratelimit.limiter import rate_limit_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_an_ipv6_network_counts_as_one_caller(address: str, network: str) -> None:
    request = RequestFactory().get("/v1/me", REMOTE_ADDR=address)
    assert client_network(request) == network
    assert rate_limit_of(None, request).key == f"address:{network}"
