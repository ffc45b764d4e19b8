"""Run in a network namespace of its own: connects to PostgreSQL as the service does, lets the server's address vanish,
and prints after how many seconds it was given up: under a statement that ran, and under one that was sent later."""

import subprocess
import sys
from threading import Timer
from time import monotonic

import psycopg
from django.conf import settings

from stoa_cp.devserver import postgres

ADDRESS = "10.9.9.9"


def command(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def seconds_until_given_up(session: psycopg.Connection[tuple[object, ...]], statement: str) -> float:
    began_at = monotonic()
    try:
        session.execute(statement.encode())
    except psycopg.OperationalError:
        return monotonic() - began_at
    return float("inf")


def main() -> None:
    command("link", "set", "lo", "up")
    command("address", "add", f"{ADDRESS}/32", "dev", "lo")
    # The server's own start connects through loopback, and its clients through the address that vanishes.
    postgres.COMMON_OPTIONS["listen_addresses"] = f"127.0.0.1,{ADDRESS}"
    with postgres.scratch_server() as server:
        with (server.cluster.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {ADDRESS}/32 scram-sha-256\n")
        with psycopg.connect(server.url) as session:
            session.execute("SELECT pg_reload_conf()")
        url = server.url.replace("127.0.0.1", ADDRESS)
        options = settings.DATABASES["default"]["OPTIONS"] | {"options": ""}  # without the statement time-out
        with psycopg.connect(url, autocommit=True, **options) as idle, psycopg.connect(url, **options) as busy:
            vanish = Timer(1.0, command, ["address", "del", f"{ADDRESS}/32", "dev", "lo"])
            vanish.start()
            waited = seconds_until_given_up(busy, "SELECT pg_sleep(120)")
            vanish.join()
            sys.stdout.write(f"{waited:.1f} {seconds_until_given_up(idle, 'SELECT 1'):.1f}\n")


if __name__ == "__main__":
    main()
