"""``python -m tests.scale.load --part 0.01``: fills an empty database with a part of a large installation.

Part 1 is 1,000 tenants, 100,000 APIs, 1,000,000 subscriptions and keys, 5,000,000 events in real hash chains, 2,000,000
deliveries and 400 days of rollups. The database is that of DATABASE_URL, after its migrations. Without DATABASE_URL a
server is started for it, and runs until Ctrl-C. With ``DJANGO_SETTINGS_MODULE=stoa_cp.settings`` the keys have the
pepper of the environment, and the service under it accepts them.
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # before Celery's app would choose the product's

import signal
import sys
from argparse import ArgumentParser
from contextlib import nullcontext

import django
from django.core.management import call_command

from stoa_cp.devserver.postgres import scratch_server


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--part", type=float, default=0.01, help="0.01 is a hundredth, 1 is all")
    part = parser.parse_args().part
    is_ours = "DATABASE_URL" not in os.environ
    with scratch_server() if is_ours else nullcontext() as server:
        if server:
            os.environ["DATABASE_URL"] = server.url
        django.setup()
        from tests.scale.loading import load_part  # models need Django set up

        call_command("migrate", verbosity=0)
        load_part(part)
        if server:
            # Blocked before they are waited for: a signal in between would end the process, and leave the server.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            sys.stdout.write(f"The database, until Ctrl-C: {server.url}\n")
            sys.stdout.flush()
            signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
