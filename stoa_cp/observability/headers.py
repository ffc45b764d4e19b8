"""The headers of every response: the request id, what a browser may load, and what it may cache."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from structlog.contextvars import get_contextvars

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
API_HEADERS = {"Content-Security-Policy": API_POLICY, "Cache-Control": "no-store"}
# Inline styles, because Swagger UI, ReDoc and the admin set some. A worker from a blob, because ReDoc searches in one.
# Nothing else is loaded, and nothing from another host.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# Eval in the admin only: its Alpine compiles the expressions in its attributes.
CONSOLE_POLICY = PAGE_POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")


class HeadersMiddleware:
    """Adds ``X-Request-Id``, ``Content-Security-Policy`` and, under ``/v1``, ``Cache-Control: no-store``."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers["X-Request-Id"] = get_contextvars().get("request_id", "")
        for name, value in headers_of(request.path_info).items():
            response.headers.setdefault(name, value)
        return response


def headers_of(path: str) -> dict[str, str]:
    """Return the headers of a page: the strictest policy under which it works, and no caching of API responses."""
    if path.startswith("/v1/"):
        return API_HEADERS
    return {"Content-Security-Policy": CONSOLE_POLICY if path.startswith("/admin/") else PAGE_POLICY}
