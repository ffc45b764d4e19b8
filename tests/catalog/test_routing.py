"""Which API a path selects; and that no spelling of a path selects another one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.routing import RequestTarget, read_decoded_target, read_target, read_url_target
from tests.catalog.hostile_paths import HOSTILE_PATHS

APIS = ("/", "/payments", "/payments/refunds", "/pay", "/admin")


def selected(target: RequestTarget | None) -> str | None:
    """Return the path of the API that a tenant with APIS would serve the call from, as the statement finds it."""
    return None if target is None else next(prefix for prefix in target.prefixes if prefix in APIS)


@pytest.mark.parametrize("uri", HOSTILE_PATHS, ids=repr)
def test_what_could_be_read_twice_selects_nothing(uri: str) -> None:
    assert read_target(uri) is None


@pytest.mark.parametrize(
    ("uri", "api", "behind"),
    [
        ("/acme", "/", ""),
        ("/acme/", "/", "/"),
        ("/acme?next=/admin/../x", "/", ""),
        ("/acme/payments", "/payments", ""),
        ("/acme/payments?a=%2f..//", "/payments", ""),
        ("/acme/payments/", "/payments", "/"),
        ("/acme/payments/42/", "/payments", "/42/"),
        ("/acme/payments/refunds/7", "/payments/refunds", "/7"),
        ("/acme/payments/refundsx", "/payments", "/refundsx"),
        ("/acme/paymentsx", "/", "/paymentsx"),
        ("/acme/pay/ments", "/pay", "/ments"),
        ("/acme/%70ayments/a%7Eb", "/payments", "/a~b"),
        ("/acme/p%61y/%41", "/pay", "/A"),
        ("/acme/payments/caf%C3%A9/a%20b%25", "/payments", "/caf%C3%A9/a%20b%25"),
        ("/acme/payments/a,b;c=d/...", "/payments", "/a,b;c=d/..."),
        ("/acme/" + "y" * 4000, "/", "/" + "y" * 4000),
        ("/acme/payments/" + "y/" * 2000, "/payments", "/" + "y/" * 2000),
    ],
)
def test_the_longest_prefix_of_whole_segments_is_selected(uri: str, api: str, behind: str) -> None:
    target = read_target(uri)

    assert target is not None
    assert target.tenant == "acme"
    assert selected(target) == api
    assert target.path_behind(api) == behind


def test_a_prefix_is_never_longer_than_a_path_of_an_api_can_be() -> None:
    target = read_target("/acme/" + "a" * 199 + "/b")
    longer = read_target("/acme/" + "a" * 200)

    assert target is not None
    assert target.prefixes == ["/" + "a" * 199, "/"]
    assert longer is not None
    assert longer.prefixes == ["/"]


@given(st.text(alphabet="/.%25efacmpynts;,\\?#2 \x00", max_size=40))
def test_no_path_selects_what_its_decoded_form_would_not(rest: str) -> None:
    target = read_target("/acme/payments/" + rest)
    if target is not None:
        assert selected(target) in ("/payments", "/payments/refunds")
        assert ".." not in target.path.split("/")
        assert "//" not in target.path


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/acme/payments/a b", "/payments"),
        ("/acme/payments/é", "/payments"),
        ("/acme/payments/100%", "/payments"),
        ("/acme/payments/../admin", None),
        ("//acme/payments", None),
        ("/acme/payments/%2e%2e/admin", None),
        ("/acme/payments/\\..", None),
        ("/acme/payments/\n", None),
        ("/acme/payments/..%C0%AFadmin", None),  # how Django leaves an overlong slash, which it cannot decode
        ("/", None),
    ],
)
def test_a_decoded_path_is_judged_alike(path: str, api: str | None) -> None:
    assert selected(read_decoded_target(path)) == api


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://gateway.example.com/acme/payments/1?x", "/payments"),
        ("http://gateway:8080/acme/admin", "/admin"),
        ("http://[::1]:80/acme/admin", "/admin"),
        ("http://gateway", None),
        ("/acme/payments", None),
        ("ftp://gateway/acme/payments", None),
        ("http://gateway\\@evil/acme/payments", None),
        ("http://user@gateway/acme/payments", None),
        ("http://gateway//acme/payments", None),
        ("http://gateway/acme/payments/../admin", None),
    ],
)
def test_a_url_is_judged_by_its_path(url: str, api: str | None) -> None:
    assert selected(read_url_target(url)) == api
