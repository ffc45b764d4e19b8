"""How many calls a caller has left in its hour, counted by django-ratelimit in the ``counters`` cache."""

import logging
from dataclasses import dataclass
from time import time

import redis
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django_ratelimit.core import get_usage

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.net.client_address import client_address

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 3600
# The limit is part of django-ratelimit's cache key: a constant one keeps the count when a tier changes.
RATE = (1, WINDOW_SECONDS)


class RateLimited(DomainError):
    """The caller's budget for this hour is spent."""

    code = ErrorCode.RATE_LIMITED


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Whose calls count together, and how many of them an hour allows.

    ``holder`` is the row that says so: whoever needs it in the same request need not ask for it again.
    """

    key: str
    calls_per_hour: int
    tenant: Model | None = None


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What is left of a budget. ``reset`` is in epoch seconds."""

    limit: int
    remaining: int
    reset: int
    is_exceeded: bool = False

    def headers(self) -> dict[str, str]:
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }
        if self.is_exceeded:
            headers["Retry-After"] = str(max(1, self.reset - int(time())))
        return headers


def rate_limit_of(actor: Actor | None, request: HttpRequest) -> RateLimit:
    """Return the budget that a call draws on: its tenant's, its own, or that of its address."""
    if actor is None:
        return RateLimit(f"address:{client_address(request)}", settings.STOA_ANONYMOUS_RATE_LIMIT)
    rate_limit: RateLimit = import_string(settings.STOA_RATE_LIMIT_RESOLVER)(actor)
    return rate_limit


def hit(rate_limit: RateLimit, request: HttpRequest) -> RateLimitStatus:
    """Count one call and tell what is left. When the counters are away the call passes, and that is logged."""
    try:
        usage = get_usage(request, group="v1", key=lambda _group, _request: rate_limit.key, rate=RATE, increment=True)
    except (DatabaseError, redis.RedisError):
        logger.warning("rate limit not counted: the counter store is away", exc_info=True)
        usage = None
    if usage is None:
        return RateLimitStatus(rate_limit.calls_per_hour, rate_limit.calls_per_hour, int(time()) + WINDOW_SECONDS)
    count: int = usage["count"]
    return RateLimitStatus(
        limit=rate_limit.calls_per_hour,
        remaining=max(0, rate_limit.calls_per_hour - count),
        reset=int(time()) + usage["time_left"],
        is_exceeded=count > rate_limit.calls_per_hour,
    )
