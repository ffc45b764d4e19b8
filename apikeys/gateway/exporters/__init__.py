"""Configurations for proxies that query the control plane about every call: one module per program.

nginx, Caddy and HAProxy send a call where the decision says. Traefik, Envoy and APISIX cannot take an upstream from an
answer: their files hold a route per API, by whole segments and the longest path first, which is how the control plane
decides. Kong's open edition cannot query at all. Each unusual line stands for an attack or a failure that
tests/gateways made with the real program; only APISIX and Kong are not run there.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from apikeys.gateway.exporters import apisix, caddy, envoy, haproxy, kong, nginx, traefik
from apikeys.gateway.exporters.site import Site

EXPORTERS: Mapping[str, Callable[[Site], Iterator[str]]] = MappingProxyType(
    {
        "nginx": nginx.export,
        "caddy": caddy.export,
        "traefik": traefik.export,
        "envoy": envoy.export,
        "haproxy": haproxy.export,
        "apisix": apisix.export,
        "kong": kong.export,
    }
)
FORMATS = tuple(EXPORTERS)
YAML = "application/yaml"  # RFC 9512
MEDIA_TYPES = dict.fromkeys(FORMATS, "text/plain") | dict.fromkeys(("traefik", "envoy", "apisix", "kong"), YAML)


def stream_configuration(program: str, site: Site) -> Iterator[str]:
    """Yield the configuration of ``program``, one of FORMATS, as the text of a file."""
    return EXPORTERS[program](site)
