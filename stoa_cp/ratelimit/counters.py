"""A Django cache backend for counters on PostgreSQL, exact over any number of processes.

Each operation is one statement on the database's clock, so that no two callers get the same count. Count outside a
transaction: inside one, the row stays locked until the commit, and a rollback takes the count back.
"""

from collections.abc import Sequence
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection
from django.db.models.functions import Now

from stoa_cp.db.expiry import delete_expired
from stoa_cp.ratelimit.models import Counter

# An expired row counts as absent. The first caller of the new window takes it over; the others then find a live row.
ADD = """
    INSERT INTO stoa_cp_counter AS counter (key, value, expires_at)
    VALUES (%s, %s, statement_timestamp() + make_interval(secs => %s::float8))
    ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
    WHERE counter.expires_at <= statement_timestamp()
    RETURNING value
"""
SET = """
    INSERT INTO stoa_cp_counter (key, value, expires_at)
    VALUES (%s, %s, statement_timestamp() + make_interval(secs => %s::float8))
    ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
    RETURNING value
"""
GET = """
    SELECT value FROM stoa_cp_counter
    WHERE key = %s AND COALESCE(expires_at, 'infinity') > statement_timestamp()
"""
INCREMENT = """
    UPDATE stoa_cp_counter SET value = value + %s
    WHERE key = %s AND COALESCE(expires_at, 'infinity') > statement_timestamp()
    RETURNING value
"""
TOUCH = """
    UPDATE stoa_cp_counter SET expires_at = statement_timestamp() + make_interval(secs => %s::float8)
    WHERE key = %s AND COALESCE(expires_at, 'infinity') > statement_timestamp()
    RETURNING value
"""
DELETE = """
    DELETE FROM stoa_cp_counter WHERE key = %s
    RETURNING COALESCE(expires_at, 'infinity') > statement_timestamp()
"""


class PostgresCounters(BaseCache):
    """Stores whole numbers only. Time-outs are in seconds; with ``None`` a number never expires."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: int, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return _row(ADD, [self._key(key, version), value, self._seconds(timeout)]) is not None

    def get(self, key: str, default: int | None = None, version: int | None = None) -> int | None:
        row = _row(GET, [self._key(key, version)])
        return default if row is None else row[0]

    def set(self, key: str, value: int, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        _row(SET, [self._key(key, version), value, self._seconds(timeout)])

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        row = _row(INCREMENT, [delta, self._key(key, version)])
        if row is None:
            raise ValueError(f"Counter {key!r} not found")
        value: int = row[0]
        return value

    def touch(self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return _row(TOUCH, [self._seconds(timeout), self._key(key, version)]) is not None

    def delete(self, key: str, version: int | None = None) -> bool:
        row = _row(DELETE, [self._key(key, version)])
        return row is not None and bool(row[0])

    def clear(self) -> None:
        Counter.objects.all().delete()

    def _key(self, key: str, version: int | None) -> str:
        return self.make_and_validate_key(key, version=version)

    def _seconds(self, timeout: float | None) -> float | None:
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout


def delete_expired_counters() -> int:
    """Delete the rows whose window is over, and return their number.

    A row that a new window took over meanwhile stays.
    """
    return delete_expired(Counter.objects.filter(expires_at__lte=Now()))


def _row(statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row
