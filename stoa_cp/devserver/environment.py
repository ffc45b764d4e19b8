"""The environment variables of a development server: secrets made once, addresses derived at each start.

Three layers, the first wins: what the user has set, what the file of an earlier start holds (secrets only), and the
defaults of this module. The file also lets ``manage.py`` in a second terminal reach the same database and issuer.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from stoa_cp.crypto.new_secrets import MAKERS, new_secret

Environment = dict[str, str]

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - only compared; nothing is bound to it


# Made at the first start and kept in the data folder: with other ones, stored API keys and webhook secrets would be
# worthless after a restart.
SECRETS: Mapping[str, Callable[[], str]] = {
    **MAKERS,
    "STOA_DEV_CLIENT_SECRET": new_secret,
    "STOA_DEV_PASSWORD": lambda: secrets.token_urlsafe(12),
}


def defaults_for(chosen: Mapping[str, str], kept: Mapping[str, str]) -> Environment:
    """Return a value for each variable that the programs need and the user has not ``chosen``, except DATABASE_URL.

    ``kept`` is the file of the last start. Only its secrets are used: addresses follow from what is chosen now.
    """
    defaults = {name: kept.get(name) or make() for name, make in SECRETS.items()}
    host, port = chosen.get("STOA_HOST", "127.0.0.1"), chosen.get("STOA_PORT", "8000")
    issuer_port = chosen.get("STOA_ISSUER_PORT", str(int(port) + 1))
    reachable_host = "127.0.0.1" if host == EVERY_ADDRESS else host
    defaults |= {
        "STOA_HOST": host,
        "STOA_PORT": port,
        # Per process. Measured: 2 to 4 are faster than 8, which wait for Python's global lock.
        "STOA_WEB_THREADS": "4",
        "STOA_URL": f"http://{reachable_host}:{port}",
        "STOA_ALLOWED_HOSTS": f"localhost,127.0.0.1,{reachable_host}",
        "STOA_OIDC_ISSUER": f"http://127.0.0.1:{issuer_port}/realms/stoa",
        # Webhooks may reach receivers on this machine, over HTTP: the first thing that people try.
        "STOA_ALLOW_HTTP_WEBHOOKS": "true",
        "STOA_EGRESS_ALLOW": "127.0.0.0/8",
        # /metrics in the browser, without a token.
        "STOA_METRICS_ALLOW": "127.0.0.0/8",
        # And a gateway on this machine may have its upstreams here.
        "STOA_UPSTREAM_ALLOW": "127.0.0.0/8,::1/128",
    }
    return {name: value for name, value in defaults.items() if name not in chosen}


def chosen_by_user(kept: Mapping[str, str]) -> Environment:
    """Return the variables of this process that the user has set.

    The settings have put the variables of the file into the environment already. The file never holds what the user
    chose. So a variable with the same value in both places comes from the file.
    """
    return {name: value for name, value in os.environ.items() if kept.get(name) != value}


def read(path: Path) -> Environment:
    """Return what ``write`` wrote, or an empty dict before the first start."""
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def write(path: Path, environment: Mapping[str, str]) -> None:
    """Write the file for the next start and for commands in a second terminal. Only its owner can read it."""
    # Written beside it and renamed: a reader sees the old file or the new one, and a crash leaves no half of it.
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{name}={value}\n" for name, value in sorted(environment.items())))
    draft.replace(path)
