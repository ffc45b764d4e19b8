"""Asks each longer file for at least one reason: a comment that says why, where the code says what.

Fifteen files of 100 lines and more had no comment at all, the hot path of the gateways among them. Their reasons (why
this lock, this bound, this order) were in commit bodies, where the reader of the file does not look. A program cannot
judge a reason, but it can find the files where there is none to judge. Directives for tools (``noqa``,
``type: ignore``) do not count, unless a reason follows them.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.house.source import Finding, SourceFile, python_files

LONG_LINES = 100
DIRECTIVE = re.compile(r"#\s*(noqa(:\s*[A-Z0-9, ]+)?|type:\s*ignore(\[[\w, -]*\])?|pragma:[\w ]*)\s*[-–#]?\s*")
# Shorter comments are units or labels: "# seconds".
REASON_WORDS = 4


def broken_rules(root: Path) -> Iterator[Finding]:
    for file in python_files(root):
        if file.text.count("\n") >= LONG_LINES and not has_reason(file):
            yield Finding(file.path, 1, f"The file has {LONG_LINES} lines or more, and no comment that gives a reason.")


def has_reason(file: SourceFile) -> bool:
    """Tell whether any comment has enough words to give a reason."""
    return any(len(DIRECTIVE.sub("", comment).split()) > REASON_WORDS for comment in comments(file))


def comments(file: SourceFile) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
