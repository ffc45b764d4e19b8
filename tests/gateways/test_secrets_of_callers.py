"""A caller's query and key: what real proxies send to the control plane of them, and write into their logs."""

from pathlib import Path

import pytest

from apikeys.gateway.exporters.site import Site
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.devserver.cluster import free_port
from tests.gateways.conftest import TOKEN
from tests.gateways.control_plane import control_plane, route_to
from tests.gateways.proxies import FILES, listen, proxy, upstream

SECRET = "hunter2hunter2"
CALL = f"/acme/pay/x?password={SECRET}&b=%2F&c={{http.request.uuid}}&d"
KEY = new_credential("stoa_live_")
HEADERS = (f"X-API-Key: {KEY}", f"Cookie: session={SECRET}", f"X-Password: {SECRET}")
# Its ForwardAuth sends the query always. The control plane neither reads nor logs it.
SENDS_THE_QUERY = {"traefik"}
# Its error log has the request line of a call whose upstream is away, and no format of its own.
LOGS_THE_QUERY = {"nginx"}


@pytest.mark.parametrize("program", FILES)
def test_a_query_is_the_upstreams_and_a_key_is_in_no_log(program: str, tmp_path: Path) -> None:
    gone = route_to(f"http://127.0.0.1:{free_port(0)}", "/acme/gone")
    with upstream() as behind, control_plane(None, route_to(behind.url), gone) as plane:
        site = Site(
            f"http://127.0.0.1:{plane.port}",
            token=TOKEN,
            listen=listen(),
            is_standalone=True,
            resolvers=["127.0.0.1"],
            routes=[route_to(behind.url), gone],
        )
        with proxy(program, site, tmp_path) as edge:
            plane.queries.clear()  # of a probe
            assert edge.call(CALL, *HEADERS).status == 200
            ((_method, target, _headers),) = behind.calls
            assert target.removeprefix("/x") == CALL.removeprefix("/acme/pay/x")
            (query,) = plane.queries
            line = "\n".join(each for each in query.splitlines() if "Cookie" not in each and "Password" not in each)
            assert (SECRET in line) is (program in SENDS_THE_QUERY)

            assert edge.call(CALL.replace("/pay/", "/gone/"), *HEADERS).status in (502, 503)
            text = edge.logged
    assert KEY not in text
    assert TOKEN not in text
    assert (SECRET in text) is (program in LOGS_THE_QUERY)
