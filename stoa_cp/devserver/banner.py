"""The text that `up` prints when everything runs: addresses, logins, and commands to try."""

from stoa_cp.devserver.environment import Environment
from stoa_cp.devserver.programs import OPERATOR
from stoa_cp.devserver.realm import CLIENT_ID

PLACES = """
STOA Control Plane is ready ({ready_seconds:.1f} s). Ctrl-C stops everything.

  API      {url}/v1      documentation  {url}/docs
  Admin    {url}/admin/  login  {operator}  password  {password}
  Issuer   {issuer}
"""
OWN_ISSUER = r"""  Client   {client}  secret  {secret}
  People   olga (platform); rita (may look); alice, dave, victor (acme); bob (globex); the operator's password for all

TOKEN=$(curl -s {issuer}/protocol/openid-connect/token -d grant_type=client_credentials \
  -d client_id={client} -d client_secret={secret} | sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
"""
OTHER_ISSUER = """
TOKEN=a-token-of-your-issuer
"""
CALLS = r"""curl -s {url}/v1/tenants -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
  -d '{{"name": "acme", "tier": "starter", "admin_email": "admin@acme.com", "region": "us-east-1"}}'
curl -s {url}/v1/tenants -H "Authorization: Bearer $TOKEN"
"""


def banner(environment: Environment, *, own_issuer: bool, ready_seconds: float) -> str:
    """Return the text.

    It holds the password and the client secret in clear. They are made on this machine for development only, and the
    commands in the text need them.
    """
    return (PLACES + (OWN_ISSUER if own_issuer else OTHER_ISSUER) + CALLS).format(
        ready_seconds=ready_seconds,
        url=environment["STOA_URL"],
        issuer=environment["STOA_OIDC_ISSUER"],
        client=CLIENT_ID,
        secret=environment["STOA_DEV_CLIENT_SECRET"],
        operator=OPERATOR,
        password=environment["STOA_DEV_PASSWORD"],
    )
