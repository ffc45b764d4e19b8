"""manage.py gateway_config: files that the programs accept, and that say what the control plane knows."""

import os
import subprocess
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from apikeys.exporters import FORMATS, export_configuration
from apikeys.exporters.site import Site, describe_site, system_resolvers
from catalog.models import Api
from stoa_cp.credentials import new_credential
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory
from tests.programs import require_program

pytestmark = pytest.mark.django_db

TOKEN = new_credential("stoa_gtw_")
HEADERS = {"X-Stoa-Tenant", "X-Stoa-Api", "X-Stoa-Subscription", "X-Stoa-Application", "X-Stoa-Key", "X-Stoa-Plan"}


@pytest.fixture
def payments(acme: Tenant) -> Api:
    return ApiFactory(
        tenant=acme, name="payments", path="/pay.v1", upstream_url="https://pay.example.com/v2", requests_per_hour=100
    )


@pytest.fixture
def status(acme: Tenant) -> Api:
    """An open API without a base path."""
    return ApiFactory(tenant=acme, name="status", path="/", upstream_url="http://127.0.0.1:9100", auth_required=False)


@pytest.fixture
def mobile(payments: Api, status: Api) -> Subscription:
    return SubscriptionFactory(tenant=payments.tenant, api=payments, application="mobile app", active=True)


@pytest.fixture
def site(mobile: Subscription) -> Site:
    return describe_site(token=TOKEN)


def documented(program: str, site: Site) -> Any:
    return yaml.safe_load(export_configuration(program, site))


def printed(*options: str) -> str:
    out = StringIO()
    call_command("gateway_config", *options, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("program", FORMATS)
def test_no_format_is_empty_and_only_kongs_works_without_the_token(site: Site, program: str) -> None:
    text = export_configuration(program, site)
    assert (TOKEN in text) is (program != "kong")
    assert "acme" in text or program in ("nginx", "caddy")


@pytest.mark.parametrize("program", FORMATS)
def test_without_a_token_the_file_names_where_it_belongs(
    mobile: Subscription, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STOA_GATEWAY_TOKEN", raising=False)
    assert ("STOA_GATEWAY_TOKEN" in printed("--format", program)) is (program != "kong")


def test_the_command_puts_the_token_of_its_environment_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_GATEWAY_TOKEN", TOKEN)
    text = printed("--listen", "127.0.0.1:8099", "--standalone")
    assert f'X-Stoa-Gateway-Token "{TOKEN}"' in text
    assert "listen 127.0.0.1:8099;" in text


def test_what_is_no_token_is_not_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_GATEWAY_TOKEN", '";} evil {')
    assert "evil" not in printed()


@pytest.mark.parametrize("listen", ["", "http", "1.2.3.4:", "8080; evil", "8080\n"])
def test_a_strange_address_is_refused(listen: str) -> None:
    with pytest.raises(CommandError, match="an address is"):
        printed("--listen", listen)


def test_nginx_accepts_it_as_a_whole_and_as_a_part(site: Site, tmp_path: Path) -> None:
    nginx = require_program("nginx")
    whole = describe_site(token=TOKEN, is_standalone=True)
    (tmp_path / "whole.conf").write_text(export_configuration("nginx", whole))
    part = export_configuration("nginx", site).replace("/var/log/nginx/", f"{tmp_path}/")
    (tmp_path / "part.conf").write_text(part)
    (tmp_path / "outer.conf").write_text("pid part.pid; error_log stderr; events {} http { include part.conf; }")
    for name in ("whole.conf", "outer.conf"):
        accepted(nginx, "-t", "-p", str(tmp_path), "-c", name)


def test_caddy_accepts_it(site: Site, tmp_path: Path) -> None:
    caddy = require_program("caddy")
    for name, text in (("a", export_configuration("caddy", site)), ("b", printed("--format", "caddy", "--standalone"))):
        (tmp_path / name).write_text(text.replace("/var/log/caddy/", f"{tmp_path}/"))
        complaints = accepted(caddy, "validate", "--adapter", "caddyfile", "--config", str(tmp_path / name))
        assert "not formatted" not in complaints


def test_haproxy_accepts_it(site: Site, tmp_path: Path, payments: Api) -> None:
    haproxy = require_program("haproxy")
    # The place of haproxy-auth-request, which Debian has not: an action of the same name and number of arguments.
    lua = tmp_path / "auth-request.lua"
    lua.write_text('core.register_action("auth-intercept", {"http-req"}, function() end, 6)\n')
    text = export_configuration("haproxy", site).replace("/etc/haproxy/auth-request.lua", str(lua))
    assert f"backend {payments.id}\n" in text
    (tmp_path / "haproxy.cfg").write_text(text)
    accepted(haproxy, "-c", "-f", str(tmp_path / "haproxy.cfg"))


def accepted(*command: str) -> str:
    """Run a program's own check of a file and return what it says; fail if it refuses."""
    environment = os.environ | {"STOA_GATEWAY_TOKEN": TOKEN}
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return checked.stdout + checked.stderr


def test_traefik_asks_before_it_routes(site: Site, payments: Api) -> None:
    http = documented("traefik", site)["http"]
    router = http["routers"][payments.id]
    assert router["rule"] == "Path(`/acme/pay.v1`) || PathPrefix(`/acme/pay.v1/`)"
    assert set(router["middlewares"]) <= set(http["middlewares"])
    assert router["middlewares"][:2] == ["stoa-before", "stoa-decision"]
    assert http["middlewares"]["stoa-decision"]["forwardAuth"]["address"].endswith("/v1/gateway/authorize")
    assert set(http["middlewares"]["stoa-decision"]["forwardAuth"]["authResponseHeaders"]) >= HEADERS
    assert set(http["middlewares"]["stoa-before"]["headers"]["customRequestHeaders"]) >= HEADERS
    path = http["middlewares"][f"{payments.id}-path"]["replacePathRegex"]
    assert path == {"regex": "^/acme/pay[.]v1(.*)", "replacement": "/v2$1"}
    assert http["services"][payments.id]["loadBalancer"]["servers"] == [{"url": "https://pay.example.com"}]


def test_the_longer_path_has_the_higher_priority(site: Site, payments: Api, status: Api) -> None:
    for routes in (documented("traefik", site)["http"]["routers"], by_id(documented("apisix", site)["routes"])):
        assert routes[payments.id]["priority"] > routes[status.id]["priority"]


def by_id(items: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {item["id"]: item for item in items}


def test_envoy_normalises_before_it_asks(site: Site, payments: Api, status: Api) -> None:
    resources = documented("envoy", site)["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["normalize_path"] is manager["merge_slashes"] is True
    assert manager["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    authorize = manager["http_filters"][0]["typed_config"]
    assert manager["http_filters"][-1]["name"] == "envoy.filters.http.router"
    assert authorize["failure_mode_allow"] is False
    assert authorize["http_service"]["path_prefix"] == "/v1/gateway/authorize/envoy"
    assert {"exact": "x-api-key", "ignore_case": True} in authorize["allowed_headers"]["patterns"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    rewrites = [(route["match"], route["route"]["prefix_rewrite"]) for route in routes]
    assert rewrites == [
        ({"path": "/acme/pay.v1"}, "/v2"),
        ({"prefix": "/acme/pay.v1/"}, "/v2/"),
        ({"path": "/acme"}, "/"),
        ({"prefix": "/acme/"}, "/"),
    ]
    clusters = {cluster["name"] for cluster in resources["clusters"]}
    assert clusters == {"stoa_control_plane", payments.id, status.id}
    assert {route["route"]["cluster"] for route in routes} <= clusters


def test_apisix_finds_the_end_of_its_file(site: Site, payments: Api) -> None:
    text = export_configuration("apisix", site)
    assert text.endswith("\n#END\n")
    route = by_id(yaml.safe_load(text)["routes"])[payments.id]
    assert route["uris"] == ["/acme/pay.v1", "/acme/pay.v1/*"]
    assert route["plugins"]["forward-auth"]["extra_headers"] == {"X-Stoa-Gateway-Token": TOKEN}
    assert "X-API-Key" in route["plugins"]["forward-auth"]["request_headers"]
    assert "Retry-After" in route["plugins"]["forward-auth"]["client_headers"]
    assert route["plugins"]["forward-auth"]["allow_degradation"] is False
    assert route["upstream"]["nodes"] == {"pay.example.com:443": 1}


def test_kong_gets_a_consumer_per_subscription_and_no_credential(site: Site, mobile: Subscription) -> None:
    text = export_configuration("kong", site)
    document = yaml.safe_load(text)
    assert document["_format_version"] == "3.0"
    assert document["_info"] == {"select_tags": ["stoa"]}
    assert "CREDENTIALS ARE MISSING" in text
    services = {service["name"]: service for service in document["services"]}
    assert set(services) == {"acme-payments", "acme-status"}
    plugins = {plugin["name"]: plugin["config"] for plugin in services["acme-payments"]["plugins"]}
    assert plugins["acl"]["allow"] == ["acme-payments"]
    assert plugins["rate-limiting"]["hour"] == 100
    assert services["acme-status"]["plugins"] == []
    (consumer,) = document["consumers"]
    assert consumer["username"] == f"acme-mobile-app-{mobile.id}"
    assert consumer["custom_id"] == mobile.id
    assert consumer["acls"] == [{"group": "acme-payments", "tags": ["stoa"]}]
    assert consumer["plugins"][0]["config"]["month"] == 50_000
    assert "keyauth_credentials" not in consumer


def test_kong_is_not_told_of_what_is_off(payments: Api, status: Api) -> None:
    Api.objects.filter(pk=payments.pk).update(status="inactive")
    assert [service["name"] for service in documented("kong", describe_site())["services"]] == ["acme-status"]


def test_two_versions_of_an_api_have_two_names_in_kong(payments: Api) -> None:
    ApiFactory(tenant=payments.tenant, name="payments", api_version="v2", path="/pay/v2")
    names = [service["name"] for service in documented("kong", describe_site())["services"]]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("content", "resolvers"),
    [
        ("# one\nnameserver 10.0.0.2\nsearch x\nnameserver fd00::1\n", ["10.0.0.2", "[fd00::1]"]),
        ("nameserver fe80::1%eth0\nnameserver\n", ["127.0.0.53"]),
        (None, ["127.0.0.53"]),
    ],
)
def test_name_servers_are_this_machines(
    content: str | None, resolvers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "resolv.conf"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr("apikeys.exporters.site.RESOLV_CONF", path)
    assert system_resolvers() == resolvers
