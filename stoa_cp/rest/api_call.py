"""What ``ApiMiddleware`` found out about a call under ``/v1``, and how the REST framework adopts it."""

from dataclasses import dataclass

from django.db.models import Model
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from stoa_cp.domain.actors import Actor
from stoa_cp.identity.authentication import TokenMissing
from stoa_cp.ratelimit.limiter import RateLimitStatus


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One authenticated call: who makes it, and what is left of the rate limit that it counted on.

    ``tenant`` is the caller's tenant row, which the rate limit was read from, so that a view need not read it again.
    """

    actor: Actor
    rate_limit: RateLimitStatus
    tenant: Model | None = None


def attach(call: ApiCall, request: HttpRequest) -> None:
    """Let ``api_call_of(request)`` return ``call``."""
    request.api_call = call  # type: ignore[attr-defined]  # Django's request has no typed place for it


def api_call_of(request: HttpRequest | Request) -> ApiCall:
    """Return the call that ``ApiMiddleware`` let through. Raises TokenMissing outside ``/v1``."""
    call: ApiCall | None = getattr(request, "api_call", None)
    if call is None:
        raise TokenMissing
    return call


class ApiCallAuthentication(BaseAuthentication):
    """DRF's view of the call. The middleware has verified the token and counted the call before DRF asks."""

    def authenticate(self, request: Request) -> tuple[Actor, None] | None:
        call: ApiCall | None = getattr(request, "api_call", None)
        return None if call is None else (call.actor, None)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="stoa"'
