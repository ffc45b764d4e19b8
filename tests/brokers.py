"""Brokers that a test starts for itself, and restarts."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kombu import Connection

from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.processes import Program, end, spawn
from tests.programs import require_program
from tests.stores import redis_server
from tests.waiting import wait_until

RABBITMQ_SECONDS = 120  # of a start: 15 s on an idle machine
# Debian's /usr/sbin/rabbitmq-server changes to an account and a log folder of its own. This is what it runs.
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker: its address, and how to kill it and start it again at the same address."""

    url: str
    restart: Callable[[], None]


@contextmanager
def rabbitmq() -> Iterator[Broker]:
    """Run a RabbitMQ with a folder and ports of its own."""
    require_program("rabbitmq-server")
    with tempfile.TemporaryDirectory(prefix="stoa-rabbitmq-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        ports = [free_port(0) for _port in range(3)]
        server, names = _rabbitmq_programs(Path(name), ports)
        # Otherwise the server starts its name server, which outlives it.
        epmd = spawn(names, subprocess.DEVNULL)
        stack.callback(lambda: end(epmd, signal.SIGTERM, grace_seconds=5))
        url = f"amqp://guest:guest@127.0.0.1:{ports[0]}//"
        running = [_started(server, url)]
        stack.callback(lambda: end(running[0], signal.SIGKILL, grace_seconds=5))

        def restart() -> None:
            end(running[0], signal.SIGKILL, grace_seconds=5)
            running[0] = _started(server, url)

        yield Broker(url, restart)


@contextmanager
def redis() -> Iterator[Broker]:
    """Run a Redis that loses everything when it is restarted."""
    with ExitStack() as stack:
        url = stack.enter_context(redis_server())

        def restart() -> None:
            stack.close()
            stack.enter_context(redis_server(urlsplit(url).port))

        yield Broker(url, restart)


def _rabbitmq_programs(folder: Path, ports: list[int]) -> tuple[Program, Program]:
    port, distribution_port, epmd_port = map(str, ports)
    account = pwd.getpwnam("rabbitmq") if os.geteuid() == 0 else None
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),  # of the cookie with which its programs know each other
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": epmd_port,
        "RABBITMQ_NODENAME": f"stoa-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": distribution_port,
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }
    epmd = [shutil.which("epmd") or "epmd", "-port", epmd_port, "-address", "127.0.0.1"]
    return (
        Program("rabbitmq", [str(RABBITMQ)], environment, account=account),
        Program("epmd", epmd, environment, account=account),
    )


def _started(server: Program, url: str) -> subprocess.Popen[bytes]:
    process = spawn(server, subprocess.DEVNULL)
    wait_until(lambda: _answers(url), "RabbitMQ answers", seconds=RABBITMQ_SECONDS)
    return process


def _answers(url: str) -> bool:
    with Connection(url, connect_timeout=2) as connection:
        try:
            connection.connect()
        except (*connection.connection_errors, *connection.channel_errors):
            return False
        return True
