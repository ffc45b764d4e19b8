"""The command that registers an API."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from catalog.serializers import NewApiSerializer
from catalog.services.apis import NewApi, create_api
from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, body_of, checked, limit
from tenants.management.lookup import tenant_called


class Command(OperatorCommand):
    """Creates an API of a tenant, by the rules of the REST API."""

    help = "Register an API of a tenant behind the gateways."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant", help="id or name of the tenant")
        parser.add_argument("name", help="name of the API")
        parser.add_argument(
            "--path", required=True, help="path below the tenant's URL at the gateway, such as /payments"
        )
        parser.add_argument("--upstream", dest="upstream_url", required=True, help="URL that serves the API")
        parser.add_argument("--sandbox", dest="sandbox_url", default=None, help="URL that serves calls with test keys")
        parser.add_argument(
            "--rate-limit",
            type=limit,
            default=None,
            help="requests per hour of all consumers together (default: no limit)",
        )
        parser.add_argument(
            "--no-auth", dest="auth_required", action="store_false", help="let calls without a key pass"
        )
        parser.add_argument("--api-version", dest="version", default="v1", help="version of the API (default: v1)")
        parser.add_argument("--description", default="", help="text for the catalogue")
        parser.add_argument("--openapi-url", default="", help="URL of the API's OpenAPI document")
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        tenant = tenant_called(options["tenant"], by)
        fields = (
            "name",
            "version",
            "path",
            "upstream_url",
            "sandbox_url",
            "auth_required",
            "description",
            "openapi_url",
        )
        body = body_of(options, fields) | {"rate_limit": {"requests_per_hour": options["rate_limit"]}}
        api = create_api(tenant, NewApi(**checked(NewApiSerializer, body)), by=by)
        self.stdout.write(f"API {api.name} ({api.id}) is {api.status} at {api.public_url}")
