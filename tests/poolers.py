"""A PgBouncer in transaction mode that a test starts for itself in front of PostgreSQL."""

import os
import pwd
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.placement import ACCOUNTS
from stoa_cp.devserver.processes import Program, end, spawn
from tests.programs import require_program
from tests.waiting import wait_until

START_SECONDS = 10
# Fewer sessions than the clients that come: so they change sessions all the time.
POOL_SIZE = 3

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
"""


@contextmanager
def pgbouncer(urls: Sequence[str]) -> Iterator[list[str]]:
    """Run a PgBouncer in front of the server of ``urls``; yield their addresses behind it."""
    program, port = require_program("pgbouncer"), free_port(0)
    parts = [urlsplit(url) for url in urls]
    with tempfile.TemporaryDirectory(prefix="stoa-pgbouncer-") as name, tempfile.TemporaryFile() as log:
        folder = Path(name)
        values = {"server_port": parts[0].port, "port": port, "folder": folder, "pool_size": POOL_SIZE}
        (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(**values))
        # Passwords as they are: with their digests alone it could not log in at the server.
        (folder / "users").write_text(
            "".join(_user(unquote(p.username or ""), unquote(p.password or "")) for p in parts)
        )
        account = _account()
        for path in (folder, *folder.iterdir()):
            if account:
                os.chown(path, account.pw_uid, account.pw_gid)
        server = spawn(Program("pgbouncer", [program, str(folder / "pgbouncer.ini")], account=account), log)
        try:
            wait_until(lambda: _accepts(port), "pgbouncer accepts connections", seconds=START_SECONDS)
            yield [p._replace(netloc=f"{p.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl() for p in parts]
        finally:
            end(server, Program("", ()).stop_signal, grace_seconds=START_SECONDS)


def _user(name: str, password: str) -> str:
    return " ".join('"{}"'.format(text.replace('"', '""')) for text in (name, password)) + "\n"


def _account() -> pwd.struct_passwd | None:
    """Return an account to run under: PgBouncer refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in ACCOUNTS if name in known)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
