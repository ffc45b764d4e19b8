"""The plans of the statements that the code really runs, and what a plan reads as a whole."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

# Tables that have a row for each of what people or calls make. The others have a row for each process or tenant.
GROWING = frozenset(
    {
        "apikeys_apikey",
        "apikeys_keysecret",
        "apikeys_meter",
        "catalog_api",
        "metrics_daytraffic",
        "metrics_hourtraffic",
        "metrics_minutetraffic",
        "metrics_series",
        "metrics_trafficbatch",
        "metrics_trafficdelta",
        "stoa_cp_event",
        "stoa_cp_eventdispatch",
        "stoa_cp_storedanswer",
        "subscriptions_subscription",
        "webhooks_attempt",
        "webhooks_delivery",
        "webhooks_webhook",
    }
)
EXPLAINED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "DECLARE")
Plan = Mapping[str, Any]


@contextmanager
def explained(using: str = "default") -> Iterator[list[tuple[str, Plan]]]:
    """Collect each statement of the block with its plan. Without sequential scans where there is an index to use.

    Each is explained before it runs, in the state that the block has then made. In a transaction only.
    """
    found: list[tuple[str, Plan]] = []
    connection = connections[using]

    def explain(execute: Callable[..., Any], text: Any, parameters: Any, many: bool, context: Mapping[str, Any]) -> Any:  # noqa: FBT001 - Django's signature
        written = text.as_string(connection.connection) if isinstance(text, sql.Composable) else str(text)
        if written.lstrip().upper().startswith(EXPLAINED) and not many:
            # A cursor of its own, which binds on the client: the statement's own may be one with a name.
            with psycopg.ClientCursor(connection.connection) as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {_without_binary(written)}", parameters)
                row = cursor.fetchone()
            assert row
            found.append((written, row[0][0]["Plan"] if not isinstance(row[0], str) else json.loads(row[0])[0]["Plan"]))
        return execute(text, parameters, many, context)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    try:
        with connection.execute_wrapper(explain):
            yield found
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = on")


def sequential_scans(statements: Sequence[tuple[str, Plan]], tables: frozenset[str] = GROWING) -> list[str]:
    """Return a line for each growing table, or partition of one, that a statement reads from its beginning."""
    return [
        f"{node['Relation Name']}: {' '.join(text.split())[:300]}"
        for text, plan in statements
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan" and _is_of(node["Relation Name"], tables)
    ]


def nodes(plan: Plan) -> Iterator[Plan]:
    """Yield the nodes of a plan."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def _is_of(relation: str, tables: frozenset[str]) -> bool:
    return relation in tables or relation.rpartition("_")[0] in tables


def _without_binary(text: str) -> str:
    # Statements of ``stoa_cp.db.prepared`` may name binary parameters, which a client cannot bind into a text.
    return text.replace(")b", ")s")
