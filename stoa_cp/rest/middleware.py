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
from stoa_cp.ratelimit.limiter import Allowance, Budget, RateLimited, budget_of, spend_one
from stoa_cp.rest.problems import Problem, problem_of, respond

GATED = "/v1/"
GATEWAY = "/v1/gateway/"  # gateways bring their own credential and are not counted


class BodyTooLarge(DomainError):
    """The announced body is over the limit of its path."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "too_large"
    message = _("The request body is too large.")


class GateMiddleware:
    """Sets ``request.actor``, or answers in the view's place; puts the rate-limit headers on every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(GATED):
            return self.get_response(request)
        bind_contextvars(address=client_address(request))
        too_large = refuse_large(request)
        if not too_large:
            _read_body(request)
        actor, refusal = _identify(request)
        budget = budget_of(actor, request)
        allowance = spend_one(budget, request)
        if allowance.is_exceeded:
            refusal = RateLimited()
        response = too_large or (_refuse(refusal) if refusal else self._pass(request, actor, budget, allowance))
        for name, value in allowance.headers().items():
            response.headers.setdefault(name, value)
        return response

    def _pass(
        self, request: HttpRequest, actor: Actor | None, budget: Budget, allowance: Allowance
    ) -> HttpResponseBase:
        request.actor = actor  # type: ignore[attr-defined]  # for GateAuthentication
        request.budget = budget  # type: ignore[attr-defined]  # for TenantScopedViewSet
        request.allowance = allowance  # type: ignore[attr-defined]  # for /v1/me
        return self.get_response(request)


def _read_body(request: HttpRequest) -> bytes:
    """Take the body in before any answer: an answer that leaves it unread costs the client its connection."""
    return request.body


def refuse_large(request: HttpRequest) -> HttpResponseBase | None:
    """Look at the announced length before a byte of the body is read; traffic may be larger than the rest."""
    if request.path_info.startswith(f"{GATEWAY}authorize"):
        return None  # its body is the original call's, which nobody reads here
    is_traffic = request.path_info == f"{GATEWAY}traffic"
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
