"""Checks every call under ``/v1`` before its URL is resolved: size, authentication, rate limit.

It stands before URL resolution so that an unknown route, too, answers 401 to a caller without a token and counts on a
limit: otherwise anyone could list the routes for free.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from structlog.contextvars import bind_contextvars

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.authentication import authenticate_bearer
from stoa_cp.net.client_address import client_address
from stoa_cp.ratelimit.limiter import RateLimited, hit, rate_limit_of
from stoa_cp.rest.api_call import ApiCall, attach
from stoa_cp.rest.body_length import LENGTH_REQUIRED
from stoa_cp.rest.limits import API_PREFIX, body_limit
from stoa_cp.rest.problems import Problem, problem_of, respond


class BodyTooLarge(DomainError):
    """The announced body is larger than its path allows."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "too_large"
    message = _("The request body is too large.")


class LengthRequired(DomainError):
    """The body has no announced length, and the server cannot tell where it ends."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "length_required"
    message = _("Send the length of the body in Content-Length.")


class ApiMiddleware:
    """Attaches an ``ApiCall`` to the request, or answers in the view's place; adds the rate-limit headers.

    1. Compare the announced size of the body with the limit of its path.
    2. Read the body, unless it is too large.
    3. Verify the bearer token.
    4. Count the call.
    5. Answer the first refusal, or call the view.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        bind_contextvars(address=client_address(request))
        too_large = check_size(request)
        if not too_large:
            _read_body(request)
        caller = _authenticate(request)
        # Counted even if it is refused: guessing tokens must cost something.
        rate_limit = rate_limit_of(caller if isinstance(caller, Actor) else None, request)
        status = hit(rate_limit, request)
        if too_large:
            response = too_large
        elif status.is_exceeded:
            response = _refuse(RateLimited())
        elif isinstance(caller, DomainError):
            response = _refuse(caller)
        else:
            attach(ApiCall(caller, status, rate_limit.tenant), request)
            response = self.get_response(request)
        for name, value in status.headers().items():
            response.headers.setdefault(name, value)
        return response


def _read_body(request: HttpRequest) -> bytes:
    """Read the body before any answer: an answer that leaves it unread costs the client its kept connection."""
    return request.body


def check_size(request: HttpRequest) -> HttpResponseBase | None:
    """Compare the announced length with the limit before a byte is read. Return the refusal, or None."""
    limit = body_limit(request.path_info)
    if limit is None:
        return None
    if LENGTH_REQUIRED in request.META:
        return _refuse(LengthRequired())
    announced = request.META.get("CONTENT_LENGTH") or "0"
    return None if announced.isdecimal() and int(announced) <= limit else _refuse(BodyTooLarge())


def _authenticate(request: HttpRequest) -> Actor | DomainError:
    """Return the caller, or the refusal of its token."""
    try:
        actor = authenticate_bearer(request.headers.get("Authorization", ""))
    except DomainError as refusal:
        return refusal
    bind_contextvars(actor=actor.id)
    return actor


def _refuse(refusal: DomainError) -> HttpResponseBase:
    return respond(problem_of(refusal) or Problem(ErrorCode.INTERNAL_ERROR))
