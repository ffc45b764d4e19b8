"""A Redis of our own, which is what most Celery installations use."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis
from redis.exceptions import RedisError

from tests.identity.ports import free_port

START_SECONDS = 10


@contextmanager
def redis_broker() -> Iterator[str]:
    """Yield the address of an empty Redis. Raises SystemExit where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("Deliveries are compared with Celery over Redis: install redis-server.")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, Redis(port=port) as client:
        try:
            _await(client)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def _await(client: "Redis[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.ping()
        except RedisError:
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.05)
        else:
            return
