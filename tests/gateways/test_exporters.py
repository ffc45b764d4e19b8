"""manage.py gateway_config: files that say what the control plane knows."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from apikeys.gateway.exporters import FORMATS
from apikeys.gateway.exporters.site import Site, describe_site, system_resolvers
from catalog.models import Api
from subscriptions.models import Subscription
from tests.gateways.conftest import TOKEN
from tests.gateways.files import exported

pytestmark = pytest.mark.django_db

HEADERS = {"X-Stoa-Tenant", "X-Stoa-Api", "X-Stoa-Subscription", "X-Stoa-Application", "X-Stoa-Key", "X-Stoa-Plan"}


def documented(program: str, site: Site) -> Any:
    return yaml.safe_load(exported(program, site))


def printed(*options: str) -> str:
    out = StringIO()
    call_command("gateway_config", *options, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("program", FORMATS)
def test_no_format_is_empty_and_only_kongs_works_without_the_token(site: Site, program: str) -> None:
    text = exported(program, site)
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


def test_traefik_asks_before_it_routes(site: Site, payments: Api) -> None:
    http = documented("traefik", site)["http"]
    router = http["routers"][payments.id]
    assert router["rule"] == "(Path(`/acme/pay.v1`) || PathPrefix(`/acme/pay.v1/`))"
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
    authorize = manager["http_filters"][1]["typed_config"]
    assert manager["http_filters"][-1]["name"] == "envoy.filters.http.router"
    assert authorize["failure_mode_allow"] is False
    assert authorize["http_service"]["path_prefix"] == "/v1/gateway/authorize/envoy"
    assert {"exact": "x-api-key", "ignore_case": True} in authorize["allowed_headers"]["patterns"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    rewrites = [(route["match"], route["route"]["prefix_rewrite"]) for route in routes[:-1]]
    assert rewrites == [
        ({"path": "/acme/pay.v1"}, "/v2"),
        ({"prefix": "/acme/pay.v1/"}, "/v2/"),
        ({"path": "/acme"}, "/"),
        ({"prefix": "/acme/"}, "/"),
    ]
    clusters = {cluster["name"] for cluster in resources["clusters"]}
    assert clusters == {"stoa_control_plane", payments.id, status.id}
    assert {route["route"]["cluster"] for route in routes[:-1]} <= clusters


def test_apisix_finds_the_end_of_its_file(site: Site, payments: Api) -> None:
    text = exported("apisix", site)
    assert text.endswith("\n#END\n")
    route = by_id(yaml.safe_load(text)["routes"])[payments.id]
    assert route["uris"] == ["/acme/pay.v1", "/acme/pay.v1/*"]
    assert route["plugins"]["forward-auth"]["extra_headers"] == {
        "X-Stoa-Gateway-Token": TOKEN,
        "X-Forwarded-Uri": "$http_x_stoa_uri",
    }
    assert "X-API-Key" in route["plugins"]["forward-auth"]["request_headers"]
    assert "Retry-After" in route["plugins"]["forward-auth"]["client_headers"]
    assert route["plugins"]["forward-auth"]["allow_degradation"] is False
    assert route["upstream"]["nodes"] == {"pay.example.com:443": 1}
    # The key is not removed before forward-auth has run.
    assert set(route["plugins"]["proxy-rewrite"]) == {"regex_uri"}
    assert route["plugins"]["serverless-post-function"]["phase"] == "access"  # it is the last there


def test_kong_gets_a_consumer_per_subscription_and_no_credential(site: Site, mobile: Subscription, status: Api) -> None:
    text = exported("kong", site)
    document = yaml.safe_load(text)
    assert document["_format_version"] == "3.0"
    assert document["_info"] == {"select_tags": ["stoa"]}
    assert "CREDENTIALS ARE MISSING" in text
    services = {service["name"]: service for service in document["services"]}
    assert set(services) == {mobile.api_id, status.id}
    plugins = {plugin["name"]: plugin["config"] for plugin in services[mobile.api_id]["plugins"]}
    assert plugins["acl"]["allow"] == [mobile.api_id]
    assert plugins["rate-limiting"]["hour"] == 100
    assert [plugin["name"] for plugin in services[status.id]["plugins"]] == ["pre-function"]
    (consumer,) = document["consumers"]
    assert consumer["username"] == mobile.id
    assert consumer["custom_id"] == mobile.id
    assert consumer["acls"] == [{"group": mobile.api_id, "tags": ["stoa"]}]
    assert consumer["plugins"][0]["config"]["month"] == 50_000
    assert "keyauth_credentials" not in consumer


def test_kong_is_not_told_of_what_is_off(payments: Api, status: Api) -> None:
    Api.objects.filter(pk=payments.pk).update(status="inactive")
    assert [service["name"] for service in documented("kong", describe_site())["services"]] == [status.id]


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
    monkeypatch.setattr("apikeys.gateway.exporters.site.RESOLV_CONF", path)
    assert system_resolvers() == resolvers
