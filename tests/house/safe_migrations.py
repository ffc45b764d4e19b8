"""Keeps migrations safe on tables that are in use, beside processes of the release before.

An index that is not built CONCURRENTLY, or a constraint that checks all rows at once, locks writers out for as long as
the table is large: minutes for millions of rows, in which every call is a 503. A column without a default in the
database makes each INSERT of the older release fail, a removed or renamed one each of its statements: for the minutes
in which both run, and for ever after a rollback.

What is right: AddIndexConcurrently with ``atomic = False``; AddConstraintNotValid, then ValidateConstraint in the next
migration; ``null=True`` or ``db_default``; a column is removed in the release after the one that no longer names it
(SeparateDatabaseAndState). The rule reads the operations as Django runs them, so it sees those that functions make.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.house.source import Finding

EARLY = "released before the rule, when the tables were small; it has run everywhere"
EXEMPT: Mapping[str, str] = {
    "apikeys/migrations/0002_tenant_isolation.py": EARLY,
    "metrics/migrations/0003_tenant_isolation.py": EARLY,
    "subscriptions/migrations/0002_tenant_isolation.py": EARLY,
    "webhooks/migrations/0002_tenant_isolation.py": EARLY,
    "stoa_cp/migrations/0004_event_newest_first.py": EARLY,
    "stoa_cp/migrations/0006_outbox_and_idempotency_records.py": "the tables are named before the models are renamed",
    "webhooks/migrations/0004_replays.py": "the constraint is on a table that the same migration creates",
}
# SQL that takes a long lock, or that an older release does not survive.
UNSAFE_SQL: Mapping[str, str] = {
    r"\bCREATE (UNIQUE )?INDEX (?!CONCURRENTLY)": "builds an index and locks writers out: CONCURRENTLY",
    r"\bADD CONSTRAINT (?!.*\bNOT VALID\b)": "checks all rows under a lock: NOT VALID, then VALIDATE CONSTRAINT",
    r"\bSET NOT NULL\b": "checks all rows under a lock: a constraint NOT VALID, then VALIDATE CONSTRAINT",
    r"\bALTER COLUMN \S+ (SET DATA )?TYPE\b": "rewrites the table under a lock: a new column",
    r"\bDROP (TABLE|COLUMN)\b": "removes what an older release uses",
    r"\bRENAME (COLUMN|TO)\b": "renames what an older release uses",
}


def broken_rules(root: Path) -> Iterator[Finding]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stoa_cp.settings")
    import django
    from django.db.migrations.loader import MigrationLoader

    from tests.house.migration_operations import unsafe_operations

    django.setup()
    graph = MigrationLoader(None).graph
    found = set()
    for (app, name), migration in sorted(graph.nodes.items()):
        path = f"{app}/migrations/{name}.py"
        if not (root / path).exists():  # of Django, or of a package
            continue
        state = graph.make_state(nodes=[(app, name)], at_end=False)
        for sentence in unsafe_operations(migration, state):
            found.add(path)
            if path not in EXEMPT:
                yield Finding(path, 1, sentence)
    for path in EXEMPT.keys() - found:
        yield Finding(path, 1, "The exception in tests/house/safe_migrations.py is not needed.")


def unsafe_sql(text: str) -> Iterator[str]:
    """Yield what is wrong with a statement."""
    for pattern, sentence in UNSAFE_SQL.items():
        if match := re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            yield f"{match[0].strip()} {sentence}."
