"""Which URLs we send to: their grammar, forty hostile hosts, and what a name resolves to."""

import socket
from collections.abc import Callable, Iterator
from time import monotonic, sleep

import pytest
from pytest_django import Settings

from stoa_cp.net.targets import (
    Target,
    Unresolved,
    check_url,
    parse_target,
    vetted_addresses,
)
from stoa_cp.net.urls import UrlRefused
from tests.kernel.net.urls import HOSTILE

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
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def resolve_to(*addresses: str) -> None:
        found = [(0, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
        monkeypatch.setattr("stoa_cp.net.egress.socket.getaddrinfo", lambda *_args, **_kwargs: found)

    return resolve_to


def test_there_are_forty_hostile_hosts() -> None:
    assert len(set(HOSTILE)) == 40


@pytest.mark.usefixtures("nothing_is_allowed")
@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_host_is_refused_at_creation(url: str) -> None:
    with pytest.raises(UrlRefused):
        check_url(url)


@pytest.mark.usefixtures("nothing_is_allowed")
@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused) as refusal:
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
    with pytest.raises(UrlRefused):
        parse_target("http://myapp.com/")


@pytest.mark.usefixtures("nothing_is_allowed")
def test_one_forbidden_address_among_many_blocks(resolve_to: Callable[..., None]) -> None:
    resolve_to("1.1.1.1", "2606:4700::1111", "10.0.0.1")
    with pytest.raises(UrlRefused):
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


@pytest.mark.deadline
def test_a_resolver_that_hangs_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_args: object, **_kwargs: object) -> Iterator[object]:
        sleep(3)
        return iter(())

    monkeypatch.setattr("stoa_cp.net.egress.RESOLVE_SECONDS", 0.1)
    monkeypatch.setattr("stoa_cp.net.egress.socket.getaddrinfo", hang)
    started_at = monotonic()
    check_url("https://slow.example/")
    assert monotonic() - started_at < 2.5
