"""A token issuer at the address of the identity provider, where no Keycloak runs."""

from threading import Thread

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.http import http_server
from stoa_cp.devserver.issuer import Issuer
from stoa_cp.devserver.realm import PEOPLE, KeyPair, access_claims

PORT = 8080  # Keycloak's


def serve(issuer: str, address: str) -> Grants:
    """Serve it over plain HTTP, behind the TLS of nginx, until this process ends."""
    grants = Grants(issuer, KeyPair.generate(), client_secret="", password="")
    Thread(target=http_server(address, PORT, Issuer(grants).respond).serve_forever, daemon=True).start()
    return grants


def platform_token(grants: Grants) -> str:
    """Return a token of the platform's role."""
    return grants.key.sign(access_claims(PEOPLE["olga"], grants.issuer))
