"""Which URLs we send to: the grammar, the table of forbidden addresses, and forty hosts that mean no good."""

import socket
from collections.abc import Callable, Iterator
from time import monotonic, sleep

import pytest
from pytest_django import Settings

from stoa_cp.net.targets import (
    Target,
    TargetRefused,
    Unresolved,
    check_url,
    is_forbidden,
    parse_target,
    vetted_addresses,
)
from tests.webhooks.receivers import Receiver
from webhooks.delivery.client import WebhookClient

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

HOSTILE = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0X7F.1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1].evil.example/",
    "https://10.0.0.1/",
    "https://192.168.1.1/",
    "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://168.63.129.16/",
    "https://100.100.100.200/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://①②⑦.⓪.⓪.①/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://127.0.0.1\\@evil.example/",
    "https://evil.example@127.0.0.1/",
    "https://evil.example#@127.0.0.1/",
    "https://127.0.0.1%2f@evil.example/",
    "https://127.0.0.1\t.evil.example/",
]

MALFORMED = [
    "",
    "https://",
    "https:///path",
    "https:/one",
    "//evil.example/",
    "evil.example",
    "ftp://evil.example/",
    "file:///etc/passwd",
    "gopher://evil.example/",
    "javascript:alert(1)",
    "https://evil.example/a b",
    "https://evil.example/\r\nX: 1",
    "https://evil.example/\x00",
    "https://evil.example/é",
    "https://user:word@evil.example/",
    "https://evil.example/#part",
    "https://evil.example:22/",
    "https://evil.example:0/",
    "https://evil.example:65536/",
    "https://evil.example:999999/",
    "https://evil.example:/",
    "https://evil.example:443:443/",
    "https://evil..example/",
    "https://.example/",
    "https://-.example-/ /",
    "https://exa%6dple.com/",
    "https://ex／ample.com/",
    "https://[::1/",
    "https://::1/",
    "https://[gg::1]/",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 130}example/",
    "https://evil.example/" + "a" * 2048,
]


@pytest.fixture
def nothing_is_allowed(settings: Settings) -> None:
    settings.STOA_ALLOW_HTTP_WEBHOOKS = False
    settings.STOA_EGRESS_ALLOW = []


@pytest.fixture
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def resolve_to(*addresses: str) -> None:
        found = [(0, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
        monkeypatch.setattr("stoa_cp.net.egress.socket.getaddrinfo", lambda *_args, **_kwargs: found)

    return resolve_to


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


def test_there_are_forty_hostile_hosts() -> None:
    assert len(set(HOSTILE)) == 40


@pytest.mark.usefixtures("nothing_is_allowed")
@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_host_is_refused_at_creation(url: str) -> None:
    with pytest.raises(TargetRefused):
        check_url(url)


@pytest.mark.usefixtures("nothing_is_allowed")
@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_host_is_refused_at_send(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr("webhooks.delivery.connections.socket.create_connection", refuse)
    with WebhookClient(1.0) as client:
        assert client.post(url, {}, b"{}").failure == "blocked_address"


def test_a_forbidden_address_hears_nothing(receiver: Receiver, settings: Settings) -> None:
    settings.STOA_EGRESS_ALLOW = []
    with WebhookClient(1.0) as client:
        assert client.post(receiver.url, {}, b"{}").failure == "blocked_address"
    assert receiver.connections == 0


@pytest.mark.usefixtures("nothing_is_allowed")
@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        parse_target(url)
    assert str(refusal.value.reason)


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://myapp.com/webhook", Target("https", "myapp.com", 443, "/webhook"), "myapp.com"),
        ("HTTPS://MyApp.COM", Target("https", "myapp.com", 443, "/"), "myapp.com"),
        ("https://myapp.com.:8443/a?b=c&d", Target("https", "myapp.com", 8443, "/a?b=c&d"), "myapp.com:8443"),
        ("https://myapp.com?x=1", Target("https", "myapp.com", 443, "/?x=1"), "myapp.com"),
        ("http://my_app/", Target("http", "my_app", 80, "/"), "my_app"),
        ("https://1.1.1.1/@a:b", Target("https", "1.1.1.1", 443, "/@a:b"), "1.1.1.1"),
        (
            "https://[2606:4700::1111]:1024",
            Target("https", "2606:4700::1111", 1024, "/"),
            "[2606:4700::1111]:1024",
        ),
        (
            "https://bücher.example/",
            Target("https", "xn--bcher-kva.example", 443, "/"),
            "xn--bcher-kva.example",
        ),
    ],
)
def test_a_plain_url_is_read_once(url: str, target: Target, authority: str) -> None:
    assert parse_target(url) == target
    assert parse_target(url).authority == authority


def test_http_is_refused_unless_an_operator_allows_it(settings: Settings) -> None:
    assert parse_target("http://myapp.com/").port == 80
    settings.STOA_ALLOW_HTTP_WEBHOOKS = False
    with pytest.raises(TargetRefused):
        parse_target("http://myapp.com/")


@pytest.mark.usefixtures("nothing_is_allowed")
def test_one_forbidden_address_among_many_blocks(resolve_to: Callable[..., None]) -> None:
    resolve_to("1.1.1.1", "2606:4700::1111", "10.0.0.1")
    with pytest.raises(TargetRefused):
        vetted_addresses(parse_target("https://rebind.example/"))


@pytest.mark.usefixtures("nothing_is_allowed")
def test_all_public_addresses_are_returned_once(resolve_to: Callable[..., None]) -> None:
    resolve_to("1.1.1.1", "2606:4700::1111", "1.1.1.1")
    assert vetted_addresses(parse_target("https://myapp.com/")) == ("1.1.1.1", "2606:4700::1111")


def test_a_name_without_address_is_accepted_at_creation_only(resolve_to: Callable[..., None]) -> None:
    resolve_to()
    check_url("https://not-yet.example/")
    with pytest.raises(Unresolved):
        vetted_addresses(parse_target("https://not-yet.example/"))


def test_a_resolver_that_hangs_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_args: object, **_kwargs: object) -> Iterator[object]:
        sleep(3)
        return iter(())

    monkeypatch.setattr("stoa_cp.net.egress.RESOLVE_SECONDS", 0.1)
    monkeypatch.setattr("stoa_cp.net.egress.socket.getaddrinfo", hang)
    started_at = monotonic()
    check_url("https://slow.example/")
    assert monotonic() - started_at < 2.5
