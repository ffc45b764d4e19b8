"""Limits calls per hour and caller. django-ratelimit counts them in the cache named ``counters``."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django_ratelimit.core import get_usage

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.net.client_address import client_network

logger = structlog.get_logger(__name__)

WINDOW_SECONDS = 3600  # the specification states its limits per hour
# The limit is part of django-ratelimit's cache key: a constant one keeps the count when a tier changes.
RATE = (1, WINDOW_SECONDS)
# After an error of Redis, calls pass for this long without waiting for it. If each waited for the time-out (0.25 s), a
# process with four threads would answer 16 calls a second.
COOL_DOWN_SECONDS = 1.0


class RateLimited(DomainError):
    """The caller has used up its calls of this hour."""

    code = ErrorCode.RATE_LIMITED

    def __init__(self, retry_after_seconds: int | None = None) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit: ``key`` names the calls that count together, of which an hour allows ``calls_per_hour``.

    ``tenant`` is the row that the limit was read from. The view of the same request reuses it and saves a query.
    """

    key: str
    calls_per_hour: int
    tenant: Model | None = None


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """The state of a limit after a call. ``reset`` is in epoch seconds."""

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
            headers["Retry-After"] = str(self.wait_seconds)
        return headers

    @property
    def wait_seconds(self) -> int:
        """The seconds until the limit is full again."""
        return max(1, self.reset - int(time()))


def rate_limit_of(actor: Actor | None, request: HttpRequest) -> RateLimit:
    """Return the limit that a call counts on: its tenant's, its own, or, without a valid token, that of its address."""
    if actor is None:
        return RateLimit(f"address:{client_network(request)}", settings.STOA_ANONYMOUS_RATE_LIMIT)
    rate_limit: RateLimit = import_string(settings.STOA_RATE_LIMIT_RESOLVER)(actor)
    return rate_limit


def hit(rate_limit: RateLimit, request: HttpRequest) -> RateLimitStatus:
    """Count one call and return the state of the limit.

    If the counter store is unavailable, the call passes and a warning is logged, of Redis once a second: a lost Redis
    must not stop the API.
    """
    usage = _count(rate_limit.key, request)
    if usage is None:
        return RateLimitStatus(rate_limit.calls_per_hour, rate_limit.calls_per_hour, int(time()) + WINDOW_SECONDS)
    count: int = usage["count"]
    return RateLimitStatus(
        limit=rate_limit.calls_per_hour,
        remaining=max(0, rate_limit.calls_per_hour - count),
        reset=int(time()) + usage["time_left"],
        is_exceeded=count > rate_limit.calls_per_hour,
    )


def count_this_hour(key: str, request: HttpRequest) -> int | None:
    """Count one more of ``key`` and return how many there were in this window; None if the store is unavailable."""
    usage = _count(key, request)
    return None if usage is None else int(usage["count"])


@dataclass(slots=True)
class Pause:
    """The time until which Redis is not queried (monotonic seconds), in this process."""

    ends_at: float = 0.0


_pause = Pause()


def _count(key: str, request: HttpRequest) -> Mapping[str, Any] | None:
    if monotonic() < _pause.ends_at:
        return None
    try:
        usage: Mapping[str, Any] | None = get_usage(
            request, group="v1", key=lambda _group, _request: key, rate=RATE, increment=True
        )
    except redis.RedisError as error:
        _pause.ends_at = monotonic() + COOL_DOWN_SECONDS
        logger.warning("rate_limit_not_counted", error=str(error))
        return None
    except DatabaseError:
        logger.warning("rate_limit_not_counted", exc_info=True)
        return None
    return usage


def count_or_refuse(rate_limit: RateLimit, request: HttpRequest) -> None:
    """Count one call outside ``ApiMiddleware``. Raises RateLimited, with the time to wait."""
    status = hit(rate_limit, request)
    if status.is_exceeded:
        raise RateLimited(status.wait_seconds)
