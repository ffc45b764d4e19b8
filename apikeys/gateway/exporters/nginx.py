"""nginx: queries with ``auth_request``, and sends the call where the answer says."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from django.utils.translation import override

from apikeys.decisions.reasons import Reason, sentence_of
from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    INTERNAL_HEADERS,
    LIMIT_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
    render_file,
)

# The messages are in the file, so they are in one language for all callers.
LANGUAGE = "en"


class Header(NamedTuple):
    """A header of the control plane's answer: its name, the file's variable for it, and nginx's."""

    name: str
    variable: str
    source: str


def export(site: Site) -> Iterator[str]:
    """Yield the content of ``http {}``, or a complete ``nginx.conf`` for a standalone gateway."""
    yield render_file(
        "nginx.conf",
        site,
        token=site.token_or("${STOA_GATEWAY_TOKEN}"),
        identity=[_header(name) for name in IDENTITY_HEADERS],
        limits=[_header(name) for name in LIMIT_HEADERS],
        withheld=(*ROUTING_HEADERS, *INTERNAL_HEADERS),
        messages=_messages(),
        unavailable=UNAVAILABLE,
    )


def _header(name: str) -> Header:
    plain = name.lower().replace("-", "_")
    return Header(name, "$stoa_" + plain.removeprefix("x_").removeprefix("stoa_"), f"$upstream_http_{plain}")


def _messages() -> list[tuple[Reason, str]]:
    """Return the message of each refusal, quoted for JSON.

    They are in the file because auth_request drops the body of the control plane's answer. A ``$`` would begin a
    variable.
    """
    with override(LANGUAGE):
        return [(reason, json.dumps(str(sentence_of(reason)))[1:-1].replace("$", "")) for reason in Reason]
