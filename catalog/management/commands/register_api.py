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
    """Offers an API behind the gateway."""

    help = "Register an API of a tenant."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant", help="id or name")
        parser.add_argument("name")
        parser.add_argument("--path", required=True, help="below the tenant's URL at the gateway: /payments")
        parser.add_argument("--upstream", dest="upstream_url", required=True, help="where the API is served from")
        parser.add_argument(
            "--rate-limit", type=limit, default=None, help="requests per hour of all consumers together"
        )
        parser.add_argument(
            "--no-auth", dest="auth_required", action="store_false", help="let calls without a key through"
        )
        parser.add_argument("--api-version", dest="version", default="v1")
        parser.add_argument("--description", default="")
        parser.add_argument("--openapi-url", default="")
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        tenant = tenant_called(options["tenant"], by)
        fields = ("name", "version", "path", "upstream_url", "auth_required", "description", "openapi_url")
        body = body_of(options, fields) | {"rate_limit": {"requests_per_hour": options["rate_limit"]}}
        api = create_api(tenant, NewApi(**checked(NewApiSerializer, body)), by=by)
        self.stdout.write(f"API {api.name} ({api.id}) is {api.status} at {api.public_url}")
