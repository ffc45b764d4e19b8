"""Tokens that are counted in PostgreSQL but not used yet, in this process or in Redis, where processes share them.

Losing them is safe: the subscription gets fewer calls this hour, never more.
"""

from collections import Counter
from threading import Lock
from time import monotonic
from typing import Protocol

import structlog
from django.conf import settings
from redis import Redis, RedisError

logger = structlog.get_logger(__name__)

# A block belongs to one hour. It outlives that hour a little, so that it never expires while its tokens count; after
# that, Redis deletes what a killed process has left.
EXPIRY_SECONDS = 3_700
# For connecting and for each answer. Redis answers in less than a millisecond; a silent one must not hold up a gateway.
TIMEOUT_SECONDS = 0.25
# After an error, Redis is not asked for this long. Otherwise each call would wait for the time-out: with it, 120 calls
# beside a silent Redis wait for 0.25 s once a second.
COOL_DOWN_SECONDS = 1.0

# GET and DECRBY in one script, which Redis runs alone: two processes would take the last token twice.
TAKE = """
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
    return 0
end
redis.call('DECRBY', KEYS[1], ARGV[1])
return 1
"""


class TokenPool(Protocol):
    """Blocks of tokens by name. Safe for threads: each token is taken once."""

    def is_available(self) -> bool:
        """Return True if tokens may be added."""

    def add(self, block: str, calls: int) -> int:
        """Add tokens; return how many could not be added."""

    def take(self, block: str, calls: int) -> bool:
        """Take this many tokens, or none if there are fewer; return whether they were taken."""

    def drain(self, block: str) -> int:
        """Take all tokens; return their number."""


class LocalTokenPool:
    """The tokens of one process."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._lock = Lock()

    def is_available(self) -> bool:
        return True

    def add(self, block: str, calls: int) -> int:
        with self._lock:
            self._calls[block] += calls
        return 0

    def take(self, block: str, calls: int) -> bool:
        with self._lock:
            if self._calls[block] < calls:
                return False
            self._calls[block] -= calls
            return True

    def drain(self, block: str) -> int:
        with self._lock:
            return self._calls.pop(block, 0)


class RedisTokenPool:
    """Tokens in Redis. While Redis does not answer, the pool is not available, and PostgreSQL decides on every call."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
        self._take = self._redis.register_script(TAKE)
        self._available_at = 0.0  # monotonic seconds

    def is_available(self) -> bool:
        return monotonic() >= self._available_at

    def add(self, block: str, calls: int) -> int:
        try:
            with self._redis.pipeline() as pipeline:
                pipeline.incrby(block, calls)
                pipeline.expire(block, EXPIRY_SECONDS)
                pipeline.execute()
        except RedisError as error:
            self._trip(error)
            # The cache returns them to PostgreSQL. A known gap: a Redis that was frozen for longer than the time-out
            # may still add them when it goes on; then as many calls too many can pass.
            return calls
        return 0

    def take(self, block: str, calls: int) -> bool:
        if not self.is_available():
            return False
        try:
            return bool(self._take([block], [calls]))
        except RedisError as error:
            self._trip(error)
            return False

    def drain(self, block: str) -> int:
        try:
            return int(self._redis.getdel(block) or 0)
        except RedisError as error:
            self._trip(error)
            return 0

    def _trip(self, error: RedisError) -> None:
        self._available_at = monotonic() + COOL_DOWN_SECONDS
        logger.warning("counter_store_away", error=str(error))


def open_token_pool() -> TokenPool:
    """Return the pool that STOA_COUNTER_URL selects: in Redis, or without it, in this process."""
    return RedisTokenPool(settings.STOA_COUNTER_URL) if settings.STOA_COUNTER_URL else LocalTokenPool()
