"""nginx: asks with ``auth_request``, and sends the call where the answer says."""

import json
from typing import NamedTuple

from django.utils.translation import override

from apikeys.decisions.reasons import Reason, sentence_of
from apikeys.gateway.exporters.site import (
    FOREIGN_HEADERS,
    IDENTITY_HEADERS,
    LIMIT_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
    render_file,
)

LANGUAGE = "en"


class Header(NamedTuple):
    """A header of the control plane's answer: its name, our variable, and nginx's own for it."""

    name: str
    variable: str
    source: str


def export(site: Site) -> str:
    """Return the content of ``http {}``, or a whole ``nginx.conf`` for a standalone gateway."""
    return render_file(
        "nginx.conf",
        site,
        token=site.token_or("${STOA_GATEWAY_TOKEN}"),
        identity=[_header(name) for name in IDENTITY_HEADERS],
        limits=[_header(name) for name in LIMIT_HEADERS],
        withheld=(*ROUTING_HEADERS, *FOREIGN_HEADERS),
        sentences=_sentences(),
        unavailable=UNAVAILABLE,
    )


def _header(name: str) -> Header:
    plain = name.lower().replace("-", "_")
    return Header(name, "$stoa_" + plain.removeprefix("x_").removeprefix("stoa_"), f"$upstream_http_{plain}")


def _sentences() -> list[tuple[Reason, str]]:
    """Return what each refusal says, quoted for JSON inside a configuration: auth_request drops the answer's body."""
    with override(LANGUAGE):
        return [(reason, json.dumps(str(sentence_of(reason)))[1:-1].replace("$", "")) for reason in Reason]
