"""The web server and its processes."""

import os
import subprocess

import psutil
import pytest

from stoa_cp.devserver import environment, programs
from stoa_cp.devserver.cluster import free_port
from tests.databases import database_url
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_web_process_that_is_killed_is_replaced_and_takes_nobody_with_it() -> None:
    port = free_port(0)
    chosen = {"STOA_PORT": str(port), "STOA_HOST": "127.0.0.1", "DATABASE_URL": database_url()}
    program = programs.web(environment.defaults_for(chosen, {}) | chosen)
    with subprocess.Popen(program.command, env=os.environ | program.environment, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: programs.is_answering("127.0.0.1", port, "/healthz"))
            killed, neighbour = psutil.Process(server.pid).children()
            killed.kill()
            wait_until(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE)
            wait_until(lambda: len(set(psutil.Process(server.pid).children()) - {killed, neighbour}) == 1)
            assert neighbour.is_running()
            wait_until(lambda: programs.is_answering("127.0.0.1", port, "/healthz"))
        finally:
            server.terminate()
