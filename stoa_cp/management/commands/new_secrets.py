"""The command that prints the environment file of a new installation."""

from typing import Any

from django.core.management.base import BaseCommand

from stoa_cp.crypto.new_secrets import MAKERS, new_secret

ENVIRONMENT = """\
# The environment of the web processes, the workers and beat. All of them need the same values. Keep this file from
# other accounts (mode 600), and a copy of it where the database's copies are not: together they are everything.
STOA_ENV=production

# --- Secrets: made now, not stored anywhere else ---
# Signs the console's sessions, and encrypts stored answers.
STOA_SECRET_KEY={STOA_SECRET_KEY}
# In the digest of each API key and gateway token. If it is lost, none of them works any more.
STOA_KEY_PEPPERS={STOA_KEY_PEPPERS}
# Encrypts the secrets of webhooks. If it is lost, they cannot be read.
STOA_ENCRYPTION_KEYS={STOA_ENCRYPTION_KEYS}
# Signs the heads of the event log.
STOA_AUDIT_KEYS={STOA_AUDIT_KEYS}
# Lets Prometheus read /metrics, as a bearer token.
STOA_METRICS_TOKEN={metrics}
# Keycloak's environment has it as STOA_CONSOLE_CLIENT_SECRET. Of another provider: the secret that it has made.
STOA_OIDC_CLIENT_SECRET={console}

# --- Addresses: replace example.com, and 127.0.0.1 by the network of your proxies ---
# `manage.py prepare --runtime-role stoa_service` makes this role with this password. For that command alone,
# DATABASE_URL is the address of the tables' owner.
STOA_RUNTIME_PASSWORD={database}
DATABASE_URL=postgres://stoa_service:{database}@db.example.com:5432/stoa?sslmode=verify-full
STOA_URL=https://stoa.example.com
STOA_ALLOWED_HOSTS=stoa.example.com
STOA_TRUSTED_ORIGINS=https://stoa.example.com
STOA_TRUSTED_PROXIES=127.0.0.1/32
STOA_GATEWAY_URL=https://gateway.example.com
STOA_OIDC_ISSUER=https://auth.example.com/realms/stoa
"""


class Command(BaseCommand):
    """Print a complete environment file, with new secrets and the addresses to fill in. It changes nothing."""

    help = "Print the environment file of a new installation: new secrets, and the addresses to fill in."
    requires_system_checks = []  # it makes what the checks ask for

    def handle(self, **_options: Any) -> None:
        made = {name: make() for name, make in MAKERS.items()}
        self.stdout.write(
            ENVIRONMENT.format(**made, metrics=new_secret(), console=new_secret(), database=new_secret()), ending=""
        )
