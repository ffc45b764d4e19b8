"""Invented traffic: the same records for ours, and as raw rows for the baselines."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from django.db import connection

from catalog.models import Api
from metrics.ingest.batches import MAX_RECORDS, Batch
from metrics.rollups.fold import fold_deltas
from metrics.services import ingest_batch
from metrics.simulation import Target, simulate_records
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory

COPY_RECORDS = """
COPY naive_record (tenant_id, api_id, subscription_id, timestamp, status, latency_ms) FROM STDIN
"""


def make_targets(tenant: Tenant, *, apis: int, subscriptions: int) -> list[Target]:
    """Return the subscriptions of a tenant, evenly over its APIs, the first of them calling most."""
    made: list[Api] = ApiFactory.create_batch(apis, tenant=tenant)
    targets = []
    for number in range(subscriptions):
        api = made[number % apis]
        subscription = SubscriptionFactory(tenant=tenant, api=api, active=True)
        targets.append(Target(api.id, subscription.id, 1 / (number + 1), 80.0))
    return targets


def calls(targets: list[Target], start: datetime, length: timedelta, count: int) -> Iterator[dict[str, Any]]:
    """Yield records in order of time; the same for the same arguments."""
    return simulate_records(targets, start, start + length, count, Random(count))  # noqa: S311 - repeatable


def in_batches(records: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(records, MAX_RECORDS)):
        yield batch


def report(name: str, records: list[dict[str, Any]], *, is_folded: bool = True) -> None:
    """Count a batch, and fold what waits."""
    receipt = ingest_batch(Batch(name, records), by=SYSTEM, max_age=None)
    assert receipt.accepted == len(records), receipt
    while is_folded and fold_deltas():
        pass


def store_raw(tenant: Tenant, records: Iterable[dict[str, Any]]) -> None:
    """Store the records as the naive ingestion does, but by COPY."""
    with connection.cursor() as cursor, cursor.copy(COPY_RECORDS) as copy:
        for record in records:
            copy.write_row(
                (
                    tenant.id,
                    record["api_id"],
                    record["subscription_id"],
                    record["timestamp"],
                    record["status"],
                    record["latency_ms"],
                )
            )
