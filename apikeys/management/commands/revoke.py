"""The command for an emergency: revoke all keys of a tenant."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from apikeys.services.revocations import revoke_oldest_keys
from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, answer_to
from tenants.management.lookup import tenant_called


class Command(OperatorCommand):
    """Revokes every key of a tenant, in portions, after the tenant's name was typed once more."""

    help = "Revoke every API key of a tenant. It cannot be taken back; `suspend` the tenant if you are not sure."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--everything-of", dest="tenant", metavar="TENANT", required=True, help="id or name")
        parser.add_argument("--confirm", metavar="NAME", help="the tenant's name, for scripts; else it is asked for")
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        tenant = tenant_called(options["tenant"], by)
        count = tenant.api_keys.unrevoked().count()
        question = f"Type the tenant's name to revoke all of its {count} keys: "
        if (options["confirm"] or answer_to(question, input)) != tenant.name:
            raise CommandError("The name is not the tenant's. Nothing was revoked.")
        total = 0
        # Until a portion finds none: keys that are issued meanwhile are revoked as well.
        while revoked := revoke_oldest_keys(tenant, by=by):
            total += len(revoked)
            self.stdout.write(f"{total} keys are revoked.")
        if not total:
            self.stdout.write("The tenant has no keys.")
