"""Gives every request a ``Content-Length``: Django takes a request without one to have no body.

A client may send a body whose length it does not know: ``Transfer-Encoding: chunked`` in HTTP/1.1 (curl ``-T -``,
streams of Node, readers of Go), or no length at all in HTTP/2. Without this, such a write would be carried out as if
its body were empty: an approval with limits of its own would be granted with those of the plan.
"""

from collections.abc import Iterable
from io import BytesIO
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from stoa_cp.rest.limits import body_limit

# Set for ``ApiMiddleware``, which answers 411. No client can set it: WSGI prefixes headers with ``HTTP_``.
LENGTH_REQUIRED = "stoa.length_required"


class BodyLengthMiddleware:
    """Reads a body of unknown length, up to the limit of its path and one byte more, and announces what it found.

    A body that is too large is announced as such, so that the one check of announced lengths refuses it. The server
    must end ``wsgi.input`` where the body ends (``wsgi.input_terminated``, as granian and gunicorn do). Where it does
    not, reading could wait for ever, and the request is marked for a 411.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        limit = body_limit(environ["PATH_INFO"])
        if not environ.get("CONTENT_LENGTH") and limit is not None:
            if environ.get("wsgi.input_terminated"):
                body = environ["wsgi.input"].read(limit + 1)
                environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
            elif "HTTP_TRANSFER_ENCODING" in environ:
                environ[LENGTH_REQUIRED] = True
        return self.application(environ, start_response)
