"""The programs of a development server."""

import sys
from http.client import HTTPConnection, HTTPException

from stoa_cp.devserver.environment import Environment
from stoa_cp.devserver.processes import Program

OPERATOR = "operator"
WEB_PROCESSES = 2
WEB_THREADS = 4  # per process; with more they wait for each other
WORKER_THREADS = 4
PROBE_SECONDS = 1.0


def preparation(environment: Environment) -> Program:
    """Migrations, the queue and the operator: ends when they are there."""
    command = [sys.executable, "manage.py", "prepare", "--operator", OPERATOR]
    return Program("prepare", command, environment | {"STOA_OPERATOR_PASSWORD": environment["STOA_DEV_PASSWORD"]})


def issuer(environment: Environment) -> Program:
    """The development issuer at the address that STOA_OIDC_ISSUER names."""
    return Program("issuer", [sys.executable, "-m", "stoa_cp.devserver"], environment)


def web(environment: Environment) -> Program:
    """The web server, as in production but for its size."""
    command = [sys.executable, "-m", "granian", "stoa_cp.wsgi:application", "--interface", "wsgi", "--no-ws"]
    command += ["--host", environment["STOA_HOST"], "--port", environment["STOA_PORT"]]
    command += ["--workers", str(WEB_PROCESSES), "--blocking-threads", str(WEB_THREADS)]
    # A process that is killed is replaced: without this it takes the whole server with it.
    command += ["--respawn-failed-workers"]
    # Within the supervisor's grace: a request that hangs must not turn Ctrl-C into a kill.
    command += ["--workers-kill-timeout", "5"]
    return Program("web", command, environment)


def worker(environment: Environment) -> Program:
    """The Celery worker with its clock. Threads, because its tasks wait for sockets, and one process ends as one."""
    # Celery warns whoever is root, at length.
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
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command += ["--beat", "--schedule", f"{environment['STOA_DATA_DIR']}/beat-schedule"]
    return Program("worker", command, environment, ready_text=" ready.")


def answers(host: str, port: int, path: str) -> bool:
    """Tell whether a GET on loopback comes back with 200."""
    connection = HTTPConnection(host, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
