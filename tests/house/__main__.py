"""Runs the house rules named as arguments, or all of them; prints what breaks one; exits with 1 if anything does."""

import sys

from tests.house import forbidden_words, reasons, row_locks, safe_migrations, sizes, tenant_scope
from tests.house.source import ROOT

RULES = {
    "forbidden_words": forbidden_words,
    "tenant_scope": tenant_scope,
    "row_locks": row_locks,
    "safe_migrations": safe_migrations,
    "sizes": sizes,
    "reasons": reasons,
}


def main(names: list[str]) -> int:
    """Return the exit code."""
    rules = [RULES[name] for name in names or RULES]
    findings = sorted(finding for rule in rules for finding in rule.broken_rules(ROOT))
    sys.stdout.write("".join(f"{finding}\n" for finding in findings))
    return 1 if findings else 0


sys.exit(main(sys.argv[1:]))
