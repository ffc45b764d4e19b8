"""Bounds functions and files: what does not fit on a screen is read in pieces, and its middle is not read at all.

The bounds are this code base's own: half of its functions have 5 lines or fewer. A function over 40 lines always hid a
second use case, and a file over 250 a second noun. Tests may have 400 lines: their functions are independent.
The docstring does not count as part of its function: the longest procedures have their numbered steps there. Arguments
(at most 5) are counted by ruff.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house.source import Finding, SourceFile, python_files, suite_files

FUNCTION_LINES = 40
FILE_LINES = 250
TEST_FILE_LINES = 400


def broken_rules(root: Path) -> Iterator[Finding]:
    for file in python_files(root):
        yield from oversizes(file, FILE_LINES)
    for file in suite_files(root):
        yield from oversizes(file, TEST_FILE_LINES)


def oversizes(file: SourceFile, file_lines: int) -> Iterator[Finding]:
    """Yield the file if it is longer than ``file_lines``, and its functions that are too long."""
    lines = file.text.count("\n")
    if lines > file_lines:
        yield Finding(file.path, file_lines, f"The file has {lines} lines; at most {file_lines}.")
    for node in ast.walk(file.tree()):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = lines_of(node) - (lines_of(node.body[0]) if ast.get_docstring(node) else 0)
            if length > FUNCTION_LINES:
                yield Finding(file.path, node.lineno, f"{node.name}() has {length} lines; at most {FUNCTION_LINES}.")


def lines_of(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
