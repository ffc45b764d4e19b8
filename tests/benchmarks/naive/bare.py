"""What the server can do at most: an application that looks at nothing."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
