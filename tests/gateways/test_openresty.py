"""What APISIX and Kong, which are not run here, do to a client's headers: their Lua, run by HAProxy's interpreter."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from apikeys.gateway.exporters.site import Site
from tests.gateways.files import exported
from tests.programs import require_program

pytestmark = pytest.mark.django_db

# The part of OpenResty's API that is used, with its rules: names are in lower case, two values make a table, and a
# header is cleared by its exact name.
OPENRESTY = """
local headers = HEADERS
ngx = {var = {request_uri = "/acme/pay%2e?secret=1"}, req = {
  get_headers = function()
    local copy = {}
    for name, value in pairs(headers) do copy[name] = value end
    return copy
  end,
  clear_header = function(name) headers[name:lower()] = nil end,
  set_header = function(name, value) headers[name:lower()] = value end,
}}
local function run() CODE end
local returned = run()
if returned then returned() end
local names = {}
for name in pairs(headers) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do io.stderr:write("HEADER ", name, "=", tostring(headers[name]), "\\n") end
"""

# Checking it runs the Lua. HAProxy checks nothing without a listener.
HAPROXY = """
global
    lua-load run.lua
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend none
    bind 127.0.0.1:1
"""


def code_of(program: str, site: Site) -> str:
    document = yaml.safe_load(exported(program, site))
    if program == "apisix":
        (code,) = document["routes"][0]["plugins"]["serverless-pre-function"]["functions"]
    else:
        (plugin,) = [each for each in document["services"][0]["plugins"] if each["name"] == "pre-function"]
        (code,) = plugin["config"]["access"]
    return str(code)


def left_of(headers: dict[str, Any], code: str, folder: Path) -> dict[str, str]:
    """Return the headers that are left after ``code`` has run."""
    # A list in JSON becomes a table in Lua.
    values = {name: json.dumps(value).replace("[", "{").replace("]", "}") for name, value in headers.items()}
    table = ", ".join(f'["{name}"] = {value}' for name, value in values.items())
    (folder / "run.lua").write_text(OPENRESTY.replace("HEADERS", f"{{{table}}}").replace("CODE", code))
    (folder / "haproxy.cfg").write_text(HAPROXY)
    command = [require_program("haproxy"), "-c", "-f", "haproxy.cfg"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("HEADER ") for line in done.stderr.splitlines() if line.startswith("HEADER ")]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("program", ["apisix", "kong"])
def test_only_a_websocket_is_passed_on(program: str, site: Site, tmp_path: Path) -> None:
    code = code_of(program, site)
    for upgrade in ("websocket", "WebSocket"):
        left = left_of({"upgrade": upgrade, "connection": "Upgrade, X-Stoa-Tenant"}, code, tmp_path)
        assert (left["upgrade"], left["connection"]) == (upgrade, "Upgrade")
    for other in ("h2c", "websocket, h2c", ["h2c", "websocket"]):
        left = left_of({"upgrade": other, "connection": "Upgrade, HTTP2-Settings"}, code, tmp_path)
        assert not {"upgrade", "connection"} & left.keys()
    assert "connection" not in left_of({"connection": "close, X-Stoa-Tenant"}, code, tmp_path)


@pytest.mark.parametrize("program", ["apisix", "kong"])
def test_no_header_of_ours_comes_from_a_client(program: str, site: Site, tmp_path: Path) -> None:
    names = ("x-stoa-tenant", "x_stoa_tenant", "x-stoa_api", "x_forwarded_for", "x_api_key", "x-consumer-id")
    sent = dict.fromkeys(names, "evil") | {"x-api-key": "stoa_live_1", "accept": "*/*"}
    left = left_of(sent, code_of(program, site), tmp_path)
    left.pop("x-stoa-uri", None)  # of the gateway's own
    assert left == {"x-api-key": "stoa_live_1", "accept": "*/*"}


def test_apisix_sends_the_path_without_its_query(site: Site, tmp_path: Path) -> None:
    left = left_of({"x-stoa-uri": "/evil"}, code_of("apisix", site), tmp_path)
    assert left == {"x-stoa-uri": "/acme/pay%2e"}  # OPENRESTY has the call
    plugin = yaml.safe_load(exported("apisix", site))["routes"][0]["plugins"]["forward-auth"]
    assert plugin["extra_headers"]["X-Forwarded-Uri"] == "$http_x_stoa_uri"
