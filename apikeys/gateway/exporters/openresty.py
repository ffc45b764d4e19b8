"""Lua for the two programs that are built on OpenResty, APISIX and Kong: what no client may send."""

# All headers (0 is no bound): with OpenResty's default of 100, a client would hide one behind 100 others. Servers of
# the CGI family read the _ in X_Stoa_Tenant as -. x-consumer-* and x-credential-* are Kong's own about a caller.
REMOVE_CLIENT_HEADERS = """for name in pairs(ngx.req.get_headers(0)) do
  if name:find("_", 1, true) or name:find("^x%-stoa%-")
    or name:find("^x%-consumer%-") or name:find("^x%-credential%-")
  then
    ngx.req.clear_header(name)
  end
end
"""
# The decision is about the path. A query may hold secrets, and the control plane has no use for it.
KEEP_PATH = """ngx.req.set_header("X-Stoa-Uri", ngx.var.request_uri:match("^[^?]*"))
"""
# To no other protocol: a tunnel of h2c would carry any number of calls that are never decided on. Of two Upgrade
# headers, OpenResty makes a table. And Kong, or an upstream, would remove the headers that a client's Connection names.
ONLY_WEBSOCKETS = """local upgrade = ngx.req.get_headers(0)["upgrade"]
if type(upgrade) == "string" and upgrade:lower() == "websocket" then
  ngx.req.set_header("Connection", "Upgrade")
else
  ngx.req.clear_header("Upgrade")
  ngx.req.clear_header("Connection")
end
"""
