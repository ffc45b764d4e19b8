"""A Redis of our own, which is what most Celery installations use."""

import shutil
from contextlib import AbstractContextManager

from tests.stores import redis_server


def redis_broker() -> AbstractContextManager[str]:
    """Yield the address of an empty Redis. Raises SystemExit where none is installed."""
    if shutil.which("redis-server") is None:
        raise SystemExit("Deliveries are compared with Celery over Redis: install redis-server.")
    return redis_server()
