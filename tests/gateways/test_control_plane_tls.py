"""An https control plane is verified, its name included: nothing else may decide on calls or receive the token."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from apikeys.gateway.exporters import FORMATS
from apikeys.gateway.exporters.site import Site, describe_site, system_trust_store
from tests.gateways.conftest import TOKEN
from tests.gateways.control_plane import NAME, OTHER_NAME, Authority, control_plane, name_server, route_to
from tests.gateways.files import exported
from tests.gateways.proxies import FILES, Upstream, listen, proxy, upstream

CA_FILE = "/etc/ssl/stoa-ca.pem"


@pytest.fixture
def behind() -> Iterator[Upstream]:
    with upstream() as seen:
        yield seen


@pytest.mark.parametrize("program", FILES)
def test_only_the_control_plane_itself_is_queried(program: str, behind: Upstream, tmp_path: Path) -> None:
    ours, strangers = Authority.create(), Authority.create()
    ours.write(tmp_path / "ca.pem")
    route = route_to(behind.url)
    with control_plane(ours.context_for(NAME, tmp_path), route) as plane, name_server() as dns_port:
        site = Site(
            f"https://{NAME}:{plane.port}",
            token=TOKEN,
            listen=listen(),
            is_standalone=True,
            ca_file=str(tmp_path / "ca.pem"),
            resolvers=["127.0.0.1"],
            routes=[route],
        )
        # HAProxy looks names up in the DNS only, which a machine without network does not have.
        text = exported(program, site)
        text = text.replace("parse-resolv-conf", f"nameserver test 127.0.0.1:{dns_port}")
        with proxy(program, site, tmp_path, text) as edge:
            assert edge.call("/acme/pay").status == 200
            assert TOKEN in str(plane.queries)
            assert len(behind.calls) == 1
            plane.queries.clear()
            for impostor in (ours.context_for(OTHER_NAME, tmp_path), strangers.context_for(NAME, tmp_path)):
                plane.context = impostor
                assert edge.call("/acme/pay").status in (500, 502, 503)
    assert plane.queries == []
    assert len(behind.calls) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("program", [each for each in FORMATS if each != "kong"])
def test_the_file_names_the_authorities(program: str, site: Site, settings: Any) -> None:
    settings.STOA_URL = "https://stoa.example.com"
    out = StringIO()
    call_command("gateway_config", "--format", program, "--ca-file", CA_FILE, stdout=out)
    assert CA_FILE in out.getvalue()
    settings.STOA_GATEWAY_CA_FILE = CA_FILE
    assert CA_FILE in exported(program, describe_site())


@pytest.mark.django_db
def test_without_a_file_the_public_authorities_are_trusted(site: Site, settings: Any) -> None:
    settings.STOA_URL = "https://stoa.example.com"
    public = describe_site()
    assert f"proxy_ssl_trusted_certificate {system_trust_store()};" in exported("nginx", public)
    assert "httpclient.ssl.ca-file @system-ca" in exported("haproxy", public)
    assert "tls_trusted_ca_certs" not in exported("caddy", public)
    # APISIX is not run here: that it verifies is its own option, which the file states.
    (route, _status) = yaml.safe_load(exported("apisix", public))["routes"]
    assert route["plugins"]["forward-auth"]["ssl_verify"] is True


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["ca.pem", "/ssl/my ca.pem", '/ssl/"; evil', "/ssl/ca.pem\n", "@none", "/"])
def test_a_path_that_would_break_the_file_is_refused(path: str, settings: Any) -> None:
    with pytest.raises(CommandError, match="a file is a path from the root"):
        call_command("gateway_config", "--ca-file", path, stdout=StringIO())
    settings.STOA_GATEWAY_CA_FILE = path
    with pytest.raises(ImproperlyConfigured, match="STOA_GATEWAY_CA_FILE"):
        describe_site()


@pytest.mark.django_db
def test_upstreams_are_verified_by_name_too(site: Site) -> None:
    assert "proxy_ssl_verify on;" in exported("nginx", site)
    assert "ssl verify required ca-file @system-ca sni str(pay.example.com)" in exported("haproxy", site)
    clusters = yaml.safe_load(exported("envoy", site))["static_resources"]["clusters"]
    (secure,) = [each["transport_socket"]["typed_config"] for each in clusters if "transport_socket" in each]
    names = secure["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert names == [{"san_type": "DNS", "matcher": {"exact": "pay.example.com"}}]
