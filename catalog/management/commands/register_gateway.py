"""The command that registers a gateway."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from catalog.serializers import NewGatewaySerializer
from catalog.services.gateways import Binding, create_gateway
from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, add_field, body_of, checked


class Command(OperatorCommand):
    """Creates a gateway and prints its token, which is not stored and not shown again."""

    help = "Register a gateway and print its token. The token is shown only once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of the gateway, such as edge-1")
        networks = "network from which its token is accepted, such as 198.51.100.0/24; repeatable (default: anywhere)"
        add_field(parser, "allowed_ips", action="append", metavar="CIDR", help=networks)
        tenants = "id or name of a tenant whose calls it may ask about; repeatable (default: all)"
        add_field(parser, "tenants", action="append", metavar="TENANT", help=tenants)
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        body = checked(NewGatewaySerializer, body_of(options, ("name", "allowed_ips", "tenants")))
        issued = create_gateway(body.pop("name"), Binding(**body), by=by)
        gateway, token = issued.resource, issued.secret
        self.stdout.write(f"Gateway {gateway.name} ({gateway.id}) presents this token, which is not shown again:")
        self.stdout.write(token)
