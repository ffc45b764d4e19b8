"""The command that issues an API key."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from apikeys.models import Mode
from apikeys.serializers import NewKeySerializer
from apikeys.services.keys import NewKey, issue_key
from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, add_field, body_of, checked
from subscriptions.management.lookup import subscription_called

RESTRICTIONS = {"allowed_ips": "198.51.100.0/24", "allowed_methods": "GET POST", "allowed_paths": "/refunds"}


class Command(OperatorCommand):
    """Issues a key and prints its secret, which is not stored and not shown again."""

    help = "Issue an API key for an active subscription and print its secret. The secret is shown only once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription", help="id of the subscription")
        parser.add_argument("--name", required=True, help="name of the key")
        add_field(parser, "mode", help=f"one of {', '.join(Mode.values)}")
        add_field(
            parser,
            "expires_at",
            metavar="TIME",
            help="when the key expires (RFC 3339), such as 2030-12-31T00:00:00Z; default: never",
        )
        for name, example in RESTRICTIONS.items():
            add_field(parser, name, nargs="+", help=f"where it may be used, such as {example}; default: anywhere")
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        subscription = subscription_called(options["subscription"])
        body = body_of(options, ("name", "mode", "expires_at", *RESTRICTIONS)) | {"subscription_id": subscription.id}
        fields = checked(NewKeySerializer, body)
        fields.pop("subscription_id")
        issued = issue_key(subscription, NewKey(**fields), by=by)
        key, secret = issued.resource, issued.secret
        self.stdout.write(f"Key {key.name} ({key.id}) has this secret, which is not shown again:")
        self.stdout.write(secret)
