"""Upstreams: no spelling of a URL leads a gateway to its own machine, a cloud's metadata, or the control plane."""

import pytest
from pytest_django.fixtures import Settings

from catalog.models import Api
from catalog.upstreams import judge_upstreams
from stoa_cp.net.addresses import is_of_this_machine
from tenants.models import Tenant
from tests.answers import invalid, refusal_of, refused_fields
from tests.commands import refusal_of_command
from tests.conftest import Caller
from tests.factories import ApiFactory
from tests.resolver import Names

pytestmark = pytest.mark.django_db

APIS = "/v1/tenants/acme/apis"
NEW = {"name": "orders", "path": "/orders", "upstream_url": "https://orders.example.com"}
LABEL63 = "a" * 63
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - nothing is bound

# Not a TCP host for every program that may read the URL.
SOCKETS = [
    "http://unix:/var/run/docker.sock:/", "http://unix:/path.sock", "http://unix", "http://unix:8080", "HTTP://UNIX:80/",
    "http://unix.:80", "unix:///var/run/docker.sock", "http://stoa_control_plane", "http://Stoa_Control_Plane/",
    "http://host/a:b", "http://host/unix:/run/x.sock:/", "fastcgi://127.0.0.1:9000", "http://@unix/",
]  # fmt: skip
NO_NAMES = [
    "http://a..b", "http://.a", "http://a.-b", "http://-a", "http://a-", "http://a_b", "http://" + LABEL63 + "a",
    "http://" + ".".join([LABEL63] * 4), "http://", "http://:80", "http://[::1", "http://[1]", "http://[::ffff:10.0.0.1]",
    "http://[fe80::1%25eth0]", "http://[v1.a]", "http://a b", "http://a%2eb", "http://a,b", "http://a;b", "http://{a}",
    "http://${{NOPE}}", "http://$host", "http://1.2.3", "http://1.2.3.4.5", "http://256.1.1.1", "http://0x0a.0.0.1",
    "http://010.0.0.1", "http://167772161", "http://10.1", "http://a.b.1", "http://a:0", "http://a:65536", "http://a:",
    "http://a:80:80", "http://a:+80", "http://b\u00fccher.example", "http://\uff11\uff10.0.0.1", "http://10\u30020.0.1",
]  # fmt: skip
LOCAL = [
    "127.0.0.1", "127.1.2.3", EVERY_ADDRESS, "localhost", "LocalHost", "localhost.", "localhost.localdomain",
    "a.localhost", "localhost6", "ip6-localhost", "ip6-loopback", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[64:ff9b:1::a9fe:a9fe]", "[::ffff:0:127.0.0.1]", "169.254.169.254",
    "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fe80::1]", "[fd00:ec2::254]",
    "[fd00:ec2:0::23]", "[fd20:ce::254]", "metadata.google.internal", "metadata", "instance-data",
]  # fmt: skip


@pytest.mark.parametrize("url", [*SOCKETS, *NO_NAMES])
@pytest.mark.parametrize("field", ["upstream_url", "sandbox_url"])
def test_an_upstream_is_a_tcp_host_named_by_rfc_1123(dave: Caller, acme: Tenant, field: str, url: str) -> None:
    assert refusal_of(dave.post(APIS, NEW | {field: url})) == invalid(field)
    assert not Api.objects.exists()


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("http://a", "http://a"),
        (f"http://{LABEL63}.example:65535", f"http://{LABEL63}.example:65535"),
        ("HTTPS://API.Example.COM:443/Base/", "https://api.example.com:443/Base/"),
        ("https://api.example.com./base", "https://api.example.com/base"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://10.0.0.7:8080/base", "http://10.0.0.7:8080/base"),
        ("http://[2001:DB8:0:0::1]:8080", "http://[2001:db8::1]:8080"),
        ("http://3com.example/a@b,c=d&e+f*g~h!i%20j", "http://3com.example/a@b,c=d&e+f*g~h!i%20j"),
    ],
)
def test_other_hosts_are_stored_in_one_spelling(dave: Caller, acme: Tenant, url: str, stored: str) -> None:
    created = dave.post(APIS, NEW | {"upstream_url": url, "sandbox_url": url})

    assert created.status_code == 201
    assert (created.json()["upstream_url"], created.json()["sandbox_url"]) == (stored, stored)


@pytest.mark.parametrize("host", LOCAL)
def test_the_gateways_own_machine_and_cloud_are_no_upstreams(dave: Caller, acme: Tenant, host: str) -> None:
    url = f"http://{host}:2019"
    api = ApiFactory(tenant=acme)

    both = dave.post(APIS, NEW | {"upstream_url": url, "sandbox_url": url})
    assert refused_fields(both) == {"upstream_url": "invalid", "sandbox_url": "invalid"}
    assert refusal_of(dave.patch(f"{APIS}/{api.id}", {"sandbox_url": url})) == invalid("sandbox_url")
    document = {"openapi": "3.1.0", "info": {"title": "A", "version": "1"}, "servers": [{"url": url}]}
    assert refusal_of(dave.post(f"{APIS}/import", document)) == invalid("servers.0.url")
    assert "upstream_url: " in refusal_of_command("register_api", "acme", "a", "--path", "/a", "--upstream", url)


@pytest.mark.parametrize("host", [host for host in LOCAL if "metadata" not in host and "data" not in host])
def test_an_operator_may_allow_such_a_network(dave: Caller, acme: Tenant, settings: Settings, host: str) -> None:
    settings.STOA_UPSTREAM_ALLOW = ["0.0.0.0/0", "::/0"]

    assert dave.post(APIS, NEW | {"upstream_url": f"http://{host}:2019"}).status_code == 201


def test_only_the_named_network_is_allowed(dave: Caller, acme: Tenant, settings: Settings) -> None:
    settings.STOA_UPSTREAM_ALLOW = ["127.0.0.0/8", "::1/128"]

    for number, host in enumerate(("127.9.9.9", "localhost", "[::1]", "b.localhost")):
        body = NEW | {"name": str(number), "path": f"/{number}", "upstream_url": f"http://{host}:9100"}
        assert dave.post(APIS, body).status_code == 201
    for host in ("169.254.169.254", EVERY_ADDRESS, "[fe80::1]", "[::]", "metadata.google.internal"):
        assert refusal_of(dave.post(APIS, NEW | {"upstream_url": f"http://{host}:9100"})) == invalid("upstream_url")


@pytest.mark.parametrize(
    "addresses", ["127.0.0.1", "1.1.1.1 169.254.169.254", "::1", "64:ff9b::7f00:1", "::ffff:7f00:1"]
)
def test_a_name_is_judged_by_all_its_addresses(dave: Caller, acme: Tenant, names: Names, addresses: str) -> None:
    names.addresses = {"evil.example": addresses, "orders.example.com": "192.168.1.7 1.1.1.1"}

    refused = dave.post(APIS, NEW | {"upstream_url": "https://evil.example"})
    assert refusal_of(refused) == invalid("upstream_url")
    assert dave.post(APIS, NEW | {"sandbox_url": "https://not-yet.example"}).status_code == 201


OWN = [
    "127.0.0.1",
    "127.3.2.1",
    EVERY_ADDRESS,
    "[::1]",
    "localhost",
    "LOCALHOST.",
    "localhost.localdomain",
    "me.example",
]


@pytest.mark.parametrize("host", OWN)
def test_the_control_plane_is_no_upstream_even_where_loopback_is_allowed(
    dave: Caller, acme: Tenant, settings: Settings, names: Names, host: str
) -> None:
    settings.STOA_UPSTREAM_ALLOW = ["0.0.0.0/0", "::/0"]
    settings.STOA_URL, settings.STOA_PORT = "https://stoa.example.com", 8000
    settings.ALLOWED_HOSTS = ["stoa.example.com", "localhost", "testserver"]
    names.addresses = {"me.example": "::ffff:127.0.0.1", "localhost": "127.0.0.1"}

    assert refusal_of(dave.post(APIS, NEW | {"upstream_url": f"http://{host}:8000"})) == invalid("upstream_url")
    assert dave.post(APIS, NEW | {"upstream_url": f"http://{host}:8001"}).status_code == 201


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("https://stoa.example.com", True),
        ("https://Stoa.Example.com.:443/v1", True),
        ("http://stoa.example.com:8000", True),
        ("http://stoa.example.com:8080", False),
        ("https://192.0.2.10", True),
        ("http://192.0.2.10", False),
        ("https://[2001:db8::10]:443", True),
        # Another service behind the same ingress.
        ("https://other.example.com", False),
    ],
)
def test_it_is_known_by_its_public_address_too(settings: Settings, names: Names, url: str, *, is_ours: bool) -> None:
    settings.STOA_URL = "https://stoa.example.com"
    names.addresses = dict.fromkeys(("stoa.example.com", "other.example.com"), "192.0.2.10 2001:db8::10")

    assert (judge_upstreams([url])[url] is not None) is is_ours


def test_an_address_of_this_machine_is_found() -> None:
    assert is_of_this_machine("127.0.0.1")
    assert is_of_this_machine("::ffff:127.0.0.1")
    assert is_of_this_machine(EVERY_ADDRESS)
    assert not is_of_this_machine("192.0.2.1")
    assert not is_of_this_machine("2001:db8::1")


def test_what_is_stored_may_be_sent_back_whatever_the_rules_are_now(dave: Caller, acme: Tenant) -> None:
    old = {"upstream_url": "http://my_app:80/a:b", "sandbox_url": "http://127.0.0.1", "openapi_url": "http://a_b/#c"}
    api = ApiFactory(tenant=acme, **old)

    whole = dave.get(f"{APIS}/{api.id}").json()
    assert dave.patch(f"{APIS}/{api.id}", whole | {"description": "x"}).status_code == 200
    assert refusal_of(dave.patch(f"{APIS}/{api.id}", {"upstream_url": "http://127.0.0.1"})) == invalid("upstream_url")


def test_only_public_ones_means_the_sandbox_too(dave: Caller, acme: Tenant, settings: Settings) -> None:
    settings.STOA_PUBLIC_UPSTREAMS_ONLY = True
    private = NEW | {"upstream_url": "https://1.1.1.1", "sandbox_url": "http://10.0.0.7"}

    assert refusal_of(dave.post(APIS, private)) == invalid("sandbox_url")
    settings.STOA_UPSTREAM_ALLOW = ["10.0.0.0/24"]
    assert dave.post(APIS, private).status_code == 201
