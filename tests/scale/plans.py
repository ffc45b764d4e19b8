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
def explained(using: str = "default", *, avoids_scans: bool = True) -> Iterator[list[tuple[str, Plan]]]:
    """Collect each statement of the block with its plan, explained before it runs. In a transaction only.

    With ``avoids_scans`` the plans have a sequential scan only where no index serves (``enable_seqscan=off``): at any
    size, and whatever the statistics say. Without, the plans are those that run.
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
        cursor.execute("SELECT set_config('enable_seqscan', %s, true)", ["off" if avoids_scans else "on"])
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


def whole_reads(statements: Sequence[tuple[str, Plan]], tables: frozenset[str] = GROWING) -> list[str]:
    """Return a line for each growing table that a statement reads as a whole: also by an index, from end to end.

    An index without a condition is read from its beginning. That is right to find the first rows in its order (a LIMIT,
    and nothing filtered out), and in a partial index, which has the few rows that it is for.
    """
    partial = _partial_indexes()
    return sequential_scans(statements, tables) + [
        f"{node['Index Name']}: {' '.join(text.split())[:300]}"
        for text, plan in statements
        for node, is_limited in _below_limits(plan)
        if "Index Name" in node
        and "Index Cond" not in node
        and node["Index Name"] not in partial
        and _is_of(node.get("Relation Name", ""), tables)
        and (not is_limited or "Filter" in node)
    ]


def _partial_indexes() -> set[str]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
        return {name for (name,) in cursor.fetchall()}


def _below_limits(plan: Plan, *, is_limited: bool = False) -> Iterator[tuple[Plan, bool]]:
    """Yield the nodes, and whether a LIMIT above ends their reading early. A sort or a sum below it reads all."""
    yield plan, is_limited
    kind = plan["Node Type"]
    passes = (is_limited or kind == "Limit") and kind not in {"Sort", "Aggregate", "Hash", "WindowAgg", "Unique"}
    for child in plan.get("Plans", ()):
        yield from _below_limits(child, is_limited=passes)


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
