"""The rows, by what goes wrong."""

from importlib import import_module

MODULES = (
    "workers",
    "web",
    "schedule",
    "answers",
    "addresses",
    "neighbours",
    "secrets",
    "broker",
    "database",
    "exhaustion",
    "failover",
    "locks",
    "stopping",
    "warm",
    "races",
    "collisions",
    "limits",
    "retries",
    "provider",
    "tokens",
    "hostile",
    "bodies",
    "audit",
)


def register() -> None:
    """Put all rows into the matrix. Django must be set up."""
    for name in MODULES:
        import_module(f"tests.faults.rows.{name}")
