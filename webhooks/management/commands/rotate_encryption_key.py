"""The command that retires an encryption key."""

from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from webhooks.services import reencrypt_secrets


class Command(BaseCommand):
    """Re-encrypts every stored secret with the first key of ``STOA_ENCRYPTION_KEYS``."""

    help = (
        "Bring every stored secret under the newest encryption key: put the new key first in STOA_ENCRYPTION_KEYS, "
        "restart, run this, and then take the old key away."
    )

    def handle(self, **_options: Any) -> None:
        total = 0
        with tqdm(unit=" secrets", disable=None, file=self.stderr) as progress:
            for size in reencrypt_secrets():
                total += size
                progress.update(size)
        self.stdout.write(f"{total} secrets are under the newest key.")
