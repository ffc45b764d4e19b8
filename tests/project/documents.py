"""Reads what the README and the guide tell people to type, and the files that they name."""

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

ROOT: Path = settings.BASE_DIR
README = ROOT / "README.md"
PAGES = sorted((ROOT / "templates" / "guide").glob("*.md"))
DOCUMENTS = (README, *PAGES)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
HEREDOC = re.compile(r"<<'(\w+)'.*?^\1$", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [block for name, block in FENCE.findall(text) if name == language]


def code_words(text: str) -> list[str]:
    """Return what stands between backticks outside of blocks, each on one line."""
    return [" ".join(word.split()) for word in CODE.findall(FENCE.sub("", text))]


def arguments_of(program: str, text: str) -> Iterator[str]:
    """Yield what follows each call of a program in a shell block, up to the end of the command."""
    plain = HEREDOC.sub("", text).replace("\\\n", " ")
    for line in plain.splitlines():
        command, _hash, _comment = line.partition(" #")
        for found in re.finditer(rf"(?:^|[\s(/]){re.escape(program)}\s+([^|;&>)]*)", command):
            yield found[1]


def section(text: str, title: str) -> str:
    """Return what stands below a heading of the second level."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the rows of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def make_targets() -> set[str]:
    return set(TARGET.findall((ROOT / "Makefile").read_text()))
