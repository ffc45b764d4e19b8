"""``manage.py simulate_traffic 100000 --days 30``."""

import json
import os
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

import urllib3
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from catalog.authentication import HEADER
from catalog.gateways import delete_gateway, register_gateway
from metrics.batches import MAX_RECORDS, Batch
from metrics.ingestion import ingest_batch
from metrics.records import MAX_AGE
from metrics.rollups import fold_deltas
from metrics.simulation import choose_targets, simulate_records
from stoa_cp.actors import SYSTEM

TIMEOUT_SECONDS = 30
# What the endpoint still takes by the time it arrives.
POSTABLE_AGE = MAX_AGE - timedelta(minutes=30)


class Command(BaseCommand):
    """Posts plausible traffic of all active subscriptions; what is too old for the endpoint goes past it."""

    help = "Invent traffic for the active subscriptions, over the last days, and report it as a gateway would."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("records", type=int, nargs="?", default=10_000, help="how many (default: 10,000)")
        parser.add_argument("--days", type=float, default=1.0, help="over how many past days (default: 1)")
        parser.add_argument("--tenant", help="only this tenant's subscriptions, by its name")
        parser.add_argument("--url", default=settings.STOA_URL, help="where the control plane is served")
        parser.add_argument("--token", help="a gateway's token (default: register a gateway for this run)")
        parser.add_argument("--seed", type=int, help="the same number, the same traffic")

    def handle(self, *, records: int, days: float, **options: Any) -> None:
        chance = Random(options["seed"])
        targets = choose_targets(options["tenant"], chance)
        if not targets:
            raise CommandError("There is no active subscription to simulate traffic for.")
        ...
