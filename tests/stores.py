"""A Redis server that a test starts for itself."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis, RedisError

from stoa_cp.devserver.cluster import free_port
from tests.programs import require_program
from tests.waiting import wait_until

START_SECONDS = 10


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Run a Redis that stores nothing on the disk, on ``port`` or a free one; yield its URL."""
    program, port = require_program("redis-server"), port or free_port(0)
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
    with Redis.from_url(url) as client:

        def answers() -> bool:
            try:
                return bool(client.ping())
            except RedisError:
                return False

        wait_until(answers, "redis-server answers", seconds=START_SECONDS)
