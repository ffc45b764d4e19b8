"""Keeps row locks in the rules: a lock outside them has no transaction that it fits, and no place in the lock order.

Deadlocks come from two functions that lock the same rows in different orders. The order is tenant → api →
subscription → key → webhook → event chain. It can be reviewed only while all locks stand in few, known places:
``services``, the packages of rules below an app, and the kernel. A lock in a view holds the row until the answer is
rendered; a lock in a model's method is taken by callers that do not see it; a lock in a loose module is missed by the
review.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.source import Finding, SourceFile, docstrings, python_files

KERNEL = "stoa_cp"
DOOR_FILES = frozenset({"views.py", "admin.py", "tasks.py", "serializers.py", "fast_path.py"})
DOOR_FOLDERS = frozenset({"management"})
SQL_LOCK = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE|KEY\s+SHARE)\b")


def broken_rules(root: Path) -> Iterator[Finding]:
    for file in python_files(root):
        if not may_lock(file):
            for line in locks_in(file):
                yield Finding(file.path, line, "Row locks stand in services, packages of rules or the kernel.")


def may_lock(file: SourceFile) -> bool:
    """Tell whether row locks may stand in this file."""
    if file.name == "models.py" or file.name in DOOR_FILES or DOOR_FOLDERS & set(file.folders):
        return False
    return file.name == "services.py" or len(file.folders) > 1


def locks_in(file: SourceFile) -> Iterator[int]:
    """Yield the lines that take row locks: ``select_for_update``, and SQL that says FOR UPDATE or the like."""
    tree = file.tree()
    prose = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "select_for_update":
            yield node.end_lineno or node.lineno
        elif isinstance(node, ast.Constant) and node not in prose and (found := SQL_LOCK.search(str(node.value))):
            yield node.lineno + str(node.value).count("\n", 0, found.start())
