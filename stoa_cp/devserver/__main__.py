"""The development issuer as a process: ``python -m stoa_cp.devserver``, told everything by its environment."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from stoa_cp.devserver.answers import http_server
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.issuer import Issuer
from stoa_cp.devserver.realm import SigningKey


def main() -> None:
    """Serve until killed. Exits with a sentence in production: this issuer believes anybody who knows one password."""
    if os.environ.get("STOA_ENV") == "production":
        sys.exit("The development issuer never runs in production: set STOA_OIDC_ISSUER to your identity provider.")
    grants = Grants(
        issuer=os.environ["STOA_OIDC_ISSUER"],
        key=SigningKey.kept_in(Path(os.environ["STOA_DATA_DIR"]) / "issuer-key.pem"),
        client_secret=os.environ["STOA_DEV_CLIENT_SECRET"],
        password=os.environ["STOA_DEV_PASSWORD"],
    )
    with http_server("127.0.0.1", urlsplit(grants.issuer).port or 80, Issuer(grants).answer) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
