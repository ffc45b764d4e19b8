"""The short way for gateways, who ask about every call: from the request's id straight to the view."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve
from django.utils import translation
from structlog.contextvars import bind_contextvars

from stoa_cp.addresses import client_address
from stoa_cp.gate import GATEWAY, refuse_large


class GatewayMiddleware:
    """Answers ``/v1/gateway/`` without what follows: a gateway has no session, no form, no browser and no budget."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(GATEWAY):
            return self.get_response(request)
        bind_contextvars(address=client_address(request))
        with translation.override(translation.get_language_from_request(request)):
            response = refuse_large(request) or _answer(request)
            response.headers.setdefault("Content-Language", translation.get_language() or "")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Content-Length", str(len(getattr(response, "content", b""))))
        return response


def _answer(request: HttpRequest) -> HttpResponseBase:
    """Call the view as Django's handler would; what it raises is answered by the handlers named in the URLs."""
    match = resolve(request.path_info)
    request.resolver_match = match
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    render: Callable[[], HttpResponseBase] | None = getattr(response, "render", None)
    return render() if render else response
