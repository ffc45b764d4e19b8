"""The command that asks for access to an API."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from apikeys.services.access import subscribe
from catalog.management.lookup import api_called
from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, checked
from subscriptions.serializers import NewSubscriptionSerializer
from subscriptions.services.requests import NewSubscription
from tenants.management.lookup import tenant_called


class Command(OperatorCommand):
    """Subscribes an application, and prints the first key if the plan approves automatically; it is not shown again."""

    help = "Request access to an API for an application."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant", help="id or name of the tenant")
        parser.add_argument("api", help="id or name of the API")
        parser.add_argument("--application", required=True, help="name of the application that will call the API")
        parser.add_argument("--plan", default="standard", help="slug of a plan of the tenant (default: standard)")
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        tenant = tenant_called(options["tenant"], by)
        api = api_called(options["api"], tenant)
        body = {"api_id": api.id, "plan": options["plan"], "application": options["application"]}
        issued = subscribe(tenant, NewSubscription(**checked(NewSubscriptionSerializer, body)), by=by)
        status = issued.resource.get_status_display().lower()
        self.stdout.write(f"Subscription {issued.resource.id} of {options['application']} to {api.name}: {status}")
        if "api_key" in issued.secrets:
            self.stdout.write(issued.secrets["api_key"])
