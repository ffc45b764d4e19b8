"""Configuration files as a whole, for tests that compare or start them."""

from apikeys.gateway.exporters import stream_configuration
from apikeys.gateway.exporters.site import Site


def exported(program: str, site: Site) -> str:
    """Return the file of ``program``."""
    return "".join(stream_configuration(program, site))
