"""Checks every call under ``/v1`` before its URL is resolved: length, authentication, rate limit, body.

It stands before URL resolution so that an unknown route, too, answers 401 to a caller without a token and counts on a
limit: otherwise anyone could list the routes for free.
"""

from collections.abc import Callable
from contextlib import nullcontext

from django.http import HttpRequest, HttpResponseBase
from structlog.contextvars import bind_contextvars

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError
from stoa_cp.identity.authentication import authenticate_bearer
from stoa_cp.net.client_address import client_address
from stoa_cp.ratelimit.concurrency import CallsAtOnce, TooManyAtOnce
from stoa_cp.ratelimit.limiter import RateLimited, hit, rate_limit_of
from stoa_cp.rest.api_call import ApiCall, attach
from stoa_cp.rest.limits import API_PREFIX
from stoa_cp.rest.problems import respond_to
from stoa_cp.rest.request_body import check_length, receive_body


class ApiMiddleware:
    """Attaches an ``ApiCall`` to the request, or answers in the view's place; adds the rate-limit headers.

    1. Compare the announced length of the body with the limit of its path.
    2. Verify the bearer token.
    3. Count the call, also one that is refused: guessing tokens must cost something.
    4. Take one of the tenant's places in this process, so that its calls leave threads for the others.
    5. Receive the body. Only now: a caller without a token or without calls left must not hold a thread with it.
    6. Answer the first refusal, or call the view.

    Outside ``/v1`` only the first and the fifth step.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._calls_at_once = CallsAtOnce()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_PREFIX):
            return self._answer(request, _refusal_by(check_length, request))
        bind_contextvars(address=client_address(request))
        refusal = _refusal_by(check_length, request)
        caller = _authenticate(request)
        rate_limit = rate_limit_of(caller if isinstance(caller, Actor) else None, request)
        status = hit(rate_limit, request)
        if isinstance(caller, Actor):
            attach(ApiCall(caller, status, rate_limit.tenant), request)
        refusal = refusal or (RateLimited() if status.is_exceeded else None)
        refusal = refusal or (caller if isinstance(caller, DomainError) else None)
        try:
            with self._calls_at_once.one_of(rate_limit.key) if rate_limit.tenant else nullcontext():
                response = self._answer(request, refusal)
        except TooManyAtOnce as too_many:
            response = respond_to(too_many)
        for name, value in status.headers().items():
            response.headers.setdefault(name, value)
        return response

    def _answer(self, request: HttpRequest, refusal: DomainError | None) -> HttpResponseBase:
        refusal = refusal or _refusal_by(receive_body, request)
        return respond_to(refusal) if refusal else self.get_response(request)


def _refusal_by(check: Callable[[HttpRequest], None], request: HttpRequest) -> DomainError | None:
    try:
        check(request)
    except DomainError as refusal:
        return refusal
    return None


def _authenticate(request: HttpRequest) -> Actor | DomainError:
    """Return the caller, or the refusal of its token."""
    try:
        actor = authenticate_bearer(request.headers.get("Authorization", ""))
    except DomainError as refusal:
        return refusal
    bind_contextvars(actor=actor.id)
    return actor
