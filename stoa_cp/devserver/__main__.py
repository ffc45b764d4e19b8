"""Runs the development issuer as a process: ``python -m stoa_cp.devserver``, configured by environment variables."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.http import http_server
from stoa_cp.devserver.issuer import Issuer
from stoa_cp.devserver.realm import KeyPair


def main() -> None:
    """Serve until killed. Exits with a sentence in production.

    One password is enough here to get a token for the role cpi-admin. So the process checks, and not only the command
    that starts it.
    """
    if os.environ.get("STOA_ENV", "development") not in {"development", "test"}:
        sys.exit("The development issuer never runs in production: set STOA_OIDC_ISSUER to your identity provider.")
    grants = Grants(
        issuer=os.environ["STOA_OIDC_ISSUER"],
        key=KeyPair.load_or_create(Path(os.environ["STOA_DATA_DIR"]) / "issuer-key.pem"),
        client_secret=os.environ["STOA_DEV_CLIENT_SECRET"],
        password=os.environ["STOA_DEV_PASSWORD"],
    )
    with http_server("127.0.0.1", urlsplit(grants.issuer).port or 80, Issuer(grants).respond) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
