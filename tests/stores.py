"""A Redis of the test's own."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis, RedisError

from tests.kernel.identity.ports import free_port
from tests.programs import require_program

START_SECONDS = 10


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Run a Redis that keeps nothing, on a free port or this one; yield its URL."""
    program, port = require_program("redis-server"), port or free_port()
    with tempfile.TemporaryDirectory(prefix="stoa-test-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            url = f"redis://127.0.0.1:{port}/0"
            try:
                _await(url)
                yield url
            finally:
                server.kill()


def _await(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Redis.from_url(url) as client:
        while time.monotonic() < deadline:
            try:
                client.ping()
            except RedisError:
                time.sleep(0.05)
            else:
                return
    pytest.fail("redis-server did not start")
