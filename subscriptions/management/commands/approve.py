"""The command that approves a subscription."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from apikeys.services.access import grant_access
from stoa_cp.domain.actors import Actor
from stoa_cp.management.base import OperatorCommand, add_field, body_of, checked, limit
from subscriptions.management.lookup import subscription_called
from subscriptions.serializers import TermsSerializer


class Command(OperatorCommand):
    """Approves a subscription and prints its first key, which is not stored and not shown again."""

    help = "Approve a subscription and print its first API key. Terms that are not given are as requested."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription", help="id of the subscription")
        add_field(parser, "rate_limit", type=limit, help="requests per hour, or the word unlimited")
        add_field(parser, "quota", type=limit, help="requests per calendar month, or the word unlimited")
        add_field(
            parser,
            "expires_at",
            metavar="TIME",
            help="when access ends (RFC 3339), such as 2030-12-31T00:00:00Z; default: as requested",
        )
        parser.add_argument("--no-key", dest="issue_key", action="store_false", help="do not issue a key")
        super().add_arguments(parser)

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        subscription = subscription_called(options["subscription"])
        terms = checked(TermsSerializer, body_of(options, ("rate_limit", "quota", "expires_at", "issue_key")))
        with_key = terms.pop("issue_key")
        issued = grant_access(subscription, terms, with_key=with_key, by=by)
        self.stdout.write(f"Subscription {subscription.id} of {subscription.application} is approved.")
        if "api_key" in issued.secrets:
            self.stdout.write(issued.secrets["api_key"])
