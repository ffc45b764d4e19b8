"""``python -m tests.scale.load``, as a person runs it."""

import os
import signal
import subprocess
import sys

import psycopg

STOP_SECONDS = 30
PREFIX = "The database, until Ctrl-C: "


def test_without_a_database_one_is_started_filled_and_removed() -> None:
    command = [sys.executable, "-m", "tests.scale.load", "--part", "0.002"]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        assert program.stderr
        try:
            line = program.stdout.readline()
            assert line.startswith(PREFIX), program.stderr.read()
            url = line.removeprefix(PREFIX).strip()
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT count(*) FROM stoa_cp_event").fetchone() == (10_000,)
            program.send_signal(signal.SIGINT)
            assert program.wait(timeout=STOP_SECONDS) == 0
        finally:
            program.kill()
