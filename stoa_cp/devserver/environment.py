"""The environment of a development server: secrets made once, addresses worked out at each start."""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet

Environment = dict[str, str]

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - only compared with


def _secret() -> str:
    return secrets.token_urlsafe(32)


# Made at the first start and kept in the data folder.
SECRETS: Mapping[str, Callable[[], str]] = {
    "STOA_SECRET_KEY": _secret,
    "STOA_KEY_PEPPERS": _secret,
    "STOA_ENCRYPTION_KEYS": lambda: Fernet.generate_key().decode(),
    "STOA_DEV_CLIENT_SECRET": _secret,
    "STOA_DEV_PASSWORD": lambda: secrets.token_urlsafe(12),
}


def decide(chosen: Mapping[str, str], kept: Mapping[str, str]) -> Environment:
    """Return what the programs need and the user left open, the secrets as they were ``kept``; all but the database."""
    decided = {name: kept.get(name) or make() for name, make in SECRETS.items()}
    host, port = chosen.get("STOA_HOST", "127.0.0.1"), chosen.get("STOA_PORT", "8000")
    issuer_port = chosen.get("STOA_ISSUER_PORT", str(int(port) + 1))
    reachable_host = "127.0.0.1" if host == EVERY_ADDRESS else host
    decided |= {
        "STOA_HOST": host,
        "STOA_PORT": port,
        "STOA_URL": f"http://{reachable_host}:{port}",
        "STOA_ALLOWED_HOSTS": f"localhost,127.0.0.1,{reachable_host}",
        "STOA_OIDC_ISSUER": f"http://127.0.0.1:{issuer_port}/realms/stoa",
        # A receiver on this machine works without further ado.
        "STOA_ALLOW_HTTP_WEBHOOKS": "true",
        "STOA_EGRESS_ALLOW": "127.0.0.0/8",
    }
    return {name: value for name, value in decided.items() if name not in chosen}


def chosen_by_user(kept: Mapping[str, str]) -> Environment:
    """Return our process's environment without what the settings have put there from the file of the last start.

    The file never holds what the user chose, so that a value found in both places is the file's.
    """
    return {name: value for name, value in os.environ.items() if kept.get(name) != value}


def read(path: Path) -> Environment:
    """Return what ``write`` wrote, or nothing before the first start."""
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def write(path: Path, environment: Mapping[str, str]) -> None:
    """Keep ``environment`` for the next start, for commands in a second terminal, and for nobody else."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{name}={value}\n" for name, value in sorted(environment.items())))
    draft.replace(path)
