"""The commands of the programs that make up a development server."""

import sys
from http.client import HTTPConnection, HTTPException

from stoa_cp.devserver.environment import Environment
from stoa_cp.devserver.processes import Program

OPERATOR = "operator"
WEB_PROCESSES = 2  # as in the guide's command for production
WORKER_THREADS = 4  # half of the guide's for production: the machine runs everything else as well
PROBE_SECONDS = 1.0  # a probe without an answer is repeated


def preparation(environment: Environment) -> Program:
    """Return the program that applies migrations, installs the queue and creates the operator. It ends by itself."""
    command = [sys.executable, "manage.py", "prepare", "--operator", OPERATOR]
    return Program("prepare", command, environment | {"STOA_OPERATOR_PASSWORD": environment["STOA_DEV_PASSWORD"]})


def issuer(environment: Environment) -> Program:
    """Return the development issuer, at the address in STOA_OIDC_ISSUER."""
    return Program("issuer", [sys.executable, "-m", "stoa_cp.devserver"], environment)


def web(environment: Environment) -> Program:
    """Return the web server, with the options of production and fewer processes."""
    command = [sys.executable, "-m", "granian", "stoa_cp.wsgi:application", "--interface", "wsgi", "--no-ws"]
    command += ["--host", environment["STOA_HOST"], "--port", environment["STOA_PORT"]]
    command += ["--workers", str(WEB_PROCESSES), "--blocking-threads", environment["STOA_WEB_THREADS"]]
    # Without this, the whole server ends when one of its processes is killed, for example for want of memory.
    command += ["--respawn-failed-workers"]
    # Shorter than the supervisor's grace period of 10 s. With a request that hangs, granian kills the process itself
    # and ends in an orderly way.
    command += ["--workers-kill-timeout", "5"]
    return Program("web", command, environment)


def worker(environment: Environment) -> Program:
    """Return the Celery worker with beat in it.

    Threads, because tasks mostly wait for sockets, and because one process is easier to stop than a group of them.
    """
    # -W: Celery prints a long warning if root runs it, and containers often do.
    command = [
        sys.executable,
        "-W",
        "ignore:You're running the worker",
        "-m",
        "celery",
        "--app",
        "stoa_cp",
        "--quiet",
        "worker",
    ]
    command += ["--pool", "threads", "--concurrency", str(WORKER_THREADS)]
    # The three only serve several workers that observe each other through the broker.
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command += ["--beat"]
    return Program("worker", command, environment, ready_text=" ready.")


def is_answering(host: str, port: int, path: str) -> bool:
    """Tell whether GET ``path`` returns status 200."""
    connection = HTTPConnection(host, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
