"""Names that people chose, in every generated file: one tenant's must not break the configuration for all."""

import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from apikeys.gateway.exporters.site import Site, describe_site
from catalog.models import Api
from tests.factories import ApiFactory, SubscriptionFactory, TenantFactory
from tests.gateways.conftest import TOKEN
from tests.gateways.control_plane import control_plane, route_to
from tests.gateways.files import exported
from tests.gateways.proxies import listen, proxy, upstream
from tests.gateways.test_accepted import CHECKS, complaint_of_traefik, judged

pytestmark = pytest.mark.django_db

NAMES = (
    "${{NOPE}}",
    "${NOPE} $NOPE {$NOPE}",
    '{{ env "HOME" }}',
    "%[env(HOME)] %{+Q}o",
    '"; evil {',
    "'\nevil: true\n#END\n",
    "`) || PathPrefix(`/",
    "{vault://env/home}",
    "# comment",
    "\u2028é",
)
UPSTREAMS = (
    "http://[::1]:8080/v1",
    "https://10.0.0.1",
    f"http://{'a' * 63}.example.com/A-z0.9_~!&*+,:=@%2F",
    "http://-a_.example.com.:65535",
    "http://a..b",  # refused today, but a row may be older than the rule; left out of the files
)
IDENTIFIER = re.compile(r"[a-z0-9-]+")


LOADED = len(NAMES) + len(UPSTREAMS) - 1 + 2


@pytest.fixture
def hostile() -> Site:
    acme = TenantFactory(name="acme")
    for number, name in enumerate(NAMES):
        api = ApiFactory(tenant=acme, name=name, path=f"/n{number}/~.-_")
        SubscriptionFactory(tenant=acme, api=api, active=True, application=name)
    for number, url in enumerate(UPSTREAMS):
        api = ApiFactory(tenant=acme, name=f"u{number}", path=f"/u{number}")
        Api.objects.filter(pk=api.pk).update(upstream_url=url)
    # Joined, the names of these two are the same: a-b-c.
    ApiFactory(tenant=TenantFactory(name="a"), name="b-c", path="/x")
    ApiFactory(tenant=TenantFactory(name="a-b"), name="c", path="/x")
    return describe_site()


@pytest.mark.parametrize("program", CHECKS)
def test_the_program_still_accepts_the_file(program: str, hostile: Site, tmp_path: Path) -> None:
    site = replace(hostile, token=TOKEN if program == "nginx" else "")
    accepted, said = judged(program, exported(program, site), tmp_path)
    assert accepted, said


def test_traefik_still_accepts_the_file(hostile: Site, tmp_path: Path) -> None:
    with upstream() as control_plane:
        text = exported("traefik", replace(hostile, control_plane_url=control_plane.url))
        assert complaint_of_traefik(text, tmp_path) == ""


@pytest.mark.parametrize("program", ["traefik", "envoy", "haproxy", "apisix", "kong", "nginx", "caddy"])
def test_no_name_is_in_the_file(program: str, hostile: Site) -> None:
    text = exported(program, hostile)
    assert not re.search("NOPE|evil|HOME|vault:|# comment|\u2028|a\\.\\.b", text)


@pytest.mark.parametrize("url", ["http://unix:{socket}:/", "http://UNIX:{socket}", "http://stoa_control_plane/v1"])
def test_nginx_takes_an_old_upstream_for_no_socket_and_no_group(url: str, tmp_path: Path) -> None:
    socket_path = tmp_path / "docker.sock"
    route = replace(route_to("http://127.0.0.1:1"), upstream_url=url.format(socket=socket_path))
    with socket.socket(socket.AF_UNIX) as listening, control_plane(None, route) as plane:
        listening.bind(str(socket_path))
        listening.listen()
        listening.settimeout(0)
        address = listen()
        site = Site(f"http://127.0.0.1:{plane.port}", TOKEN, address, is_standalone=True, resolvers=["127.0.0.1"])
        with proxy("nginx", site, tmp_path) as edge:
            assert edge.call("/acme/pay").status == 503
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert len(plane.queries) == 1  # the question, and not the call


def test_apisix_finds_one_end_and_one_variable(hostile: Site) -> None:
    text = exported("apisix", hostile)
    assert re.findall("^#END$", text, re.MULTILINE) == ["#END"]
    # APISIX puts its environment in place of these, and does not start without a variable that one names.
    assert set(re.findall(r"\$\{\{.*?\}\}", text)) == {"${{STOA_GATEWAY_TOKEN}}"}
    routes = yaml.safe_load(text)["routes"]
    assert len({route["id"] for route in routes}) == LOADED
    assert all(IDENTIFIER.fullmatch(route["id"]) for route in routes)


def test_kong_finds_no_name_twice(hostile: Site) -> None:
    document: Any = yaml.safe_load(exported("kong", hostile))
    services, consumers = document["services"], document["consumers"]
    names = [service["name"] for service in services]
    names += [consumer["username"] for consumer in consumers]
    assert len(set(names)) == len(names) == LOADED + len(NAMES)
    assert len({route["name"] for service in services for route in service["routes"]}) == LOADED
    groups = [group["group"] for consumer in consumers for group in consumer["acls"]]
    tags = [tag for service in services for tag in service["tags"]]
    assert all(IDENTIFIER.fullmatch(name) for name in (*names, *groups, *tags))
    allowed = {name for each in services for plugin in each["plugins"] for name in plugin["config"].get("allow", [])}
    assert set(groups) <= allowed
