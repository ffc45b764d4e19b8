"""The command that registers a gateway."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from catalog.serializers import NewGatewaySerializer
from catalog.services.gateways import create_gateway
from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, checked


class Command(OperatorCommand):
    """Creates a gateway and prints its token, which is not stored and not shown again."""

    help = "Register a gateway and print its token. The token is shown only once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of the gateway, such as edge-1")
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        issued = create_gateway(**checked(NewGatewaySerializer, {"name": options["name"]}), by=by)
        gateway, token = issued.resource, issued.secret
        self.stdout.write(f"Gateway {gateway.name} ({gateway.id}) presents this token, which is not shown again:")
        self.stdout.write(token)
