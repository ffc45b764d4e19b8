"""What every call under ``/v1`` passes before its URL is resolved: size, authentication, rate limit."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from structlog.contextvars import bind_contextvars

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.authentication import authenticate_bearer
from stoa_cp.net.client_address import client_address
from stoa_cp.ratelimit.limiter import RateLimit, RateLimited, RateLimitStatus, hit, rate_limit_of
from stoa_cp.rest.problems import Problem, problem_of, respond

API_PREFIX = "/v1/"
GATEWAY_PREFIX = "/v1/gateway/"  # gateways bring their own credential and are not counted


class BodyTooLarge(DomainError):
    """The announced body is over the limit of its path."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "too_large"
    message = _("The request body is too large.")


class ApiMiddleware:
    """Sets ``request.actor``, or answers in the view's place; puts the rate-limit headers on every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        bind_contextvars(address=client_address(request))
        too_large = check_size(request)
        if not too_large:
            _read_body(request)
        actor, refusal = _identify(request)
        rate_limit = rate_limit_of(actor, request)
        status = hit(rate_limit, request)
        if status.is_exceeded:
            refusal = RateLimited()
        response = too_large or (_refuse(refusal) if refusal else self._pass(request, actor, rate_limit, status))
        for name, value in status.headers().items():
            response.headers.setdefault(name, value)
        return response

    def _pass(
        self, request: HttpRequest, actor: Actor | None, rate_limit: RateLimit, status: RateLimitStatus
    ) -> HttpResponseBase:
        request.actor = actor  # type: ignore[attr-defined]  # for ApiCallAuthentication
        request.rate_limit = rate_limit  # type: ignore[attr-defined]  # for TenantScopedViewSet
        request.status = status  # type: ignore[attr-defined]  # for /v1/me
        return self.get_response(request)


def _read_body(request: HttpRequest) -> bytes:
    """Take the body in before any answer: an answer that leaves it unread costs the client its connection."""
    return request.body


def check_size(request: HttpRequest) -> HttpResponseBase | None:
    """Look at the announced length before a byte of the body is read; traffic may be larger than the rest."""
    if request.path_info.startswith(f"{GATEWAY_PREFIX}authorize"):
        return None  # its body is the original call's, which nobody reads here
    is_traffic = request.path_info == f"{GATEWAY_PREFIX}traffic"
    limit = settings.STOA_MAX_TRAFFIC_BODY_BYTES if is_traffic else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    announced = request.META.get("CONTENT_LENGTH") or "0"
    return None if announced.isdecimal() and int(announced) <= limit else _refuse(BodyTooLarge())


def _identify(request: HttpRequest) -> tuple[Actor | None, DomainError | None]:
    """Return whom the call speaks for, or why that cannot be told."""
    try:
        actor = authenticate_bearer(request.headers.get("Authorization", ""))
    except DomainError as refusal:
        return None, refusal
    bind_contextvars(actor=actor.id)
    return actor, None


def _refuse(refusal: DomainError) -> HttpResponseBase:
    return respond(problem_of(refusal) or Problem(ErrorCode.INTERNAL_ERROR))
