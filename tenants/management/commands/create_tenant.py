"""The command that creates a tenant."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, checked
from subscriptions.services.provisioning import set_up_tenant
from tenants.models import Tier
from tenants.serializers import NewTenantSerializer
from tenants.services import NewTenant, create_tenant


class Command(OperatorCommand):
    """Creates a tenant and sets it up before it returns, so that the next command of a script finds its plans."""

    help = "Create an active tenant with the default plans."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of the tenant, a DNS label: it is part of the gateway's URL")
        parser.add_argument(
            "--email", dest="admin_email", required=True, help="e-mail address of the tenant's administrator"
        )
        parser.add_argument("--tier", default=Tier.FREE.value, help=f"one of {', '.join(Tier.values)} (default: free)")
        parser.add_argument(
            "--region", default=settings.STOA_REGIONS[0], help=f"one of {', '.join(settings.STOA_REGIONS)}"
        )
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        body = {field: options[field] for field in ("name", "admin_email", "tier", "region")}
        tenant = create_tenant(NewTenant(**checked(NewTenantSerializer, body)), by=by)
        set_up_tenant(tenant)
        self.stdout.write(f"Tenant {tenant.name} ({tenant.id}) is active at {tenant.gateway_url}")
