"""Networks in one spelling."""

import pytest

from stoa_cp.net.cidrs import MAX_CIDR_LENGTH, normalise_cidr


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("198.51.100.0/24", "198.51.100.0/24"),
        ("198.51.100.7/24", "198.51.100.0/24"),
        ("198.51.100.7", "198.51.100.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::/0", "::/0"),
        ("::ffff:10.1.2.3", "10.1.2.3/32"),
        ("::ffff:0a00:0/104", "10.0.0.0/8"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"),
    ],
)
def test_a_network_has_one_spelling(text: str, network: str) -> None:
    assert normalise_cidr(text) == network
    assert normalise_cidr(network) == network


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "10.0.0.0/33",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/0.255.255.255",
        "10.0.0.0/",
        "10.0.0.0/8 ",
        "10.0.0.0/８",
        "10.0.0.0/-1",
        "010.0.0.1",
        "127.1",
        "0x7f000001",
        "fe80::1%eth0",
        "[::1]",
        "example.com",
        "10.0.0.0/8,11.0.0.0/8",
        "0" * (MAX_CIDR_LENGTH + 1),
    ],
)
def test_other_text_is_none(text: str) -> None:
    assert normalise_cidr(text) is None
