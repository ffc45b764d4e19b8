"""Where calls lie that are counted and not made yet: in this process, or in Redis for all processes that share one.

A purse that loses its calls makes no call too many: they are counted. It only makes the caller's hour shorter.
"""

from collections import Counter
from threading import Lock
from time import monotonic
from typing import Protocol

import structlog
from django.conf import settings
from redis import Redis, RedisError

logger = structlog.get_logger(__name__)

# A purse is opened for an hour, and forgotten a little later.
KEPT_SECONDS = 3_700
TIMEOUT_SECONDS = 0.25
# How long nobody tries a Redis again that has failed.
AWAY_SECONDS = 1.0

TAKE = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
    return 0
end
redis.call('DECRBY', KEYS[1], ARGV[1])
return 1
"""


class TokenPool(Protocol):
    """Calls by name. Each of them is taken once, whoever takes."""

    def is_open(self) -> bool:
        """Tell whether calls may be put in."""

    def add(self, name: str, calls: int) -> int:
        """Put calls in; return how many could not be."""

    def take(self, name: str, calls: int) -> bool:
        """Take so many calls or, where there are not so many, none."""

    def drain(self, name: str) -> int:
        """Take all; return how many they were."""


class LocalTokenPool:
    """The purse of one process."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._lock = Lock()

    def is_open(self) -> bool:
        return True

    def add(self, name: str, calls: int) -> int:
        with self._lock:
            self._calls[name] += calls
        return 0

    def take(self, name: str, calls: int) -> bool:
        with self._lock:
            if self._calls[name] < calls:
                return False
            self._calls[name] -= calls
            return True

    def drain(self, name: str) -> int:
        with self._lock:
            return self._calls.pop(name, 0)


class RedisTokenPool:
    """A purse in Redis. While Redis is away it is closed, and the database is asked about every call."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
        self._take = self._redis.register_script(TAKE)
        self._opens_at = 0.0

    def is_open(self) -> bool:
        return monotonic() >= self._opens_at

    def add(self, name: str, calls: int) -> int:
        try:
            with self._redis.pipeline() as pipeline:
                pipeline.incrby(name, calls)
                pipeline.expire(name, KEPT_SECONDS)
                pipeline.execute()
        except RedisError as error:
            self._close(error)
            return calls
        return 0

    def take(self, name: str, calls: int) -> bool:
        if not self.is_open():
            return False
        try:
            return bool(self._take([name], [calls]))
        except RedisError as error:
            self._close(error)
            return False

    def drain(self, name: str) -> int:
        try:
            return int(self._redis.getdel(name) or 0)
        except RedisError as error:
            self._close(error)
            return 0

    def _close(self, error: RedisError) -> None:
        self._opens_at = monotonic() + AWAY_SECONDS
        logger.warning("counter_store_away", error=str(error))


def open_token_pool() -> TokenPool:
    """Return the purse that the settings name."""
    return RedisTokenPool(settings.STOA_COUNTER_URL) if settings.STOA_COUNTER_URL else LocalTokenPool()
