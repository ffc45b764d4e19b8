"""The delivering command as a process of its own, on the database of the test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import database_url

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def worker(threads: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run ``manage.py deliver_webhooks`` as long as the block lasts, or until the block kills it."""
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "STOA_ALLOW_HTTP_WEBHOOKS": "true",
        "STOA_EGRESS_ALLOW": "127.0.0.0/8",
    }
    command = [sys.executable, "manage.py", "deliver_webhooks", "--threads", str(threads)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
