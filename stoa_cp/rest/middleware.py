"""Checks every call under ``/v1`` before its URL is resolved: length, authentication, rate limit, body.

It stands before URL resolution so that an unknown route, too, answers 401 to a caller without a token and counts on a
limit: otherwise anyone could list the routes for free.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from structlog.contextvars import bind_contextvars

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError
from stoa_cp.identity.authentication import authenticate_bearer
from stoa_cp.net.client_address import client_address
from stoa_cp.ratelimit.concurrency import AtMost
from stoa_cp.ratelimit.limiter import RateLimited, hit, rate_limit_of
from stoa_cp.rest.api_call import ApiCall, attach
from stoa_cp.rest.limits import API_PREFIX
from stoa_cp.rest.problems import respond_to
from stoa_cp.rest.request_body import METHODS_WITHOUT_BODY, check_length, receive_body


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
        # Of each tenant. Fewer bodies than calls: clients that stall leave a place to the reads of their tenant.
        half = settings.STOA_WEB_THREADS // 2
        self._calls, self._bodies = AtMost(half), AtMost(half - 1)

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
        response = self._answer(request, refusal, rate_limit.key if rate_limit.tenant else None)
        for name, value in status.headers().items():
            response.headers.setdefault(name, value)
        return response

    def _answer(self, request: HttpRequest, refusal: DomainError | None, tenant: str | None = None) -> HttpResponseBase:
        if refusal:
            return respond_to(refusal)
        try:
            with self._calls.one_of(tenant):
                if request.method not in METHODS_WITHOUT_BODY:
                    with self._bodies.one_of(tenant):
                        receive_body(request)
                return self.get_response(request)
        except DomainError as late_refusal:
            return respond_to(late_refusal)


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
