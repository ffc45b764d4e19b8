"""Whether a call is live or a test is the decision's word, and not the client's: in logs and for upstreams."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from apikeys.gateway.exporters.site import Site
from tests.gateways.conftest import TOKEN
from tests.gateways.control_plane import control_plane, route_to
from tests.gateways.files import exported
from tests.gateways.proxies import FILES, listen, proxy, upstream
from tests.waiting import wait_until

# An API that needs no key takes any of these: none is a test key.
CLAIMS = ("X-API-Key: STOA_TEST_x", "X-API-Key: stoa_test_x", "Authorization: bearer\tstoa_test_x", "X-Stoa-Mode: test")


@pytest.mark.parametrize("program", FILES)
def test_the_mode_is_the_decisions(program: str, tmp_path: Path) -> None:
    with upstream() as behind, control_plane(None, route_to(behind.url)) as plane:
        url, routes = f"http://127.0.0.1:{plane.port}", [route_to(behind.url)]
        site = Site(url, TOKEN, listen(), is_standalone=True, resolvers=["127.0.0.1"], routes=routes)
        with proxy(program, site, tmp_path) as edge:
            for claim in CLAIMS:
                assert edge.call("/acme/pay", claim).status == 200
            plane.mode = "test"
            assert edge.call("/acme/pay", "X-API-Key: stoa_live_x", "X-Stoa-Mode: live").status == 200
            modes = ["live"] * len(CLAIMS) + ["test"]
            assert [headers["x-stoa-mode"] for _method, _target, headers in behind.calls] == modes
            if program in ("nginx", "caddy"):  # the others write no log that we read
                wait_until(lambda: edge.log.read_text().count("\n") == len(modes), "the calls are logged")
                assert [mode_of(json.loads(line)) for line in edge.log.read_text().splitlines()] == modes


def mode_of(entry: Any) -> str:
    """Return the mode in a line of nginx's log or of Caddy's."""
    return str(entry["resp_headers"]["X-Stoa-Mode"][0] if "resp_headers" in entry else entry["mode"])


@pytest.mark.django_db
def test_apisix_passes_the_mode_on(site: Site) -> None:
    (route, *_others) = yaml.safe_load(exported("apisix", site))["routes"]
    assert "X-Stoa-Mode" in route["plugins"]["forward-auth"]["upstream_headers"]
