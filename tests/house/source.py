"""Finds the product's files and reads them: shared by all rules."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What readers of the product see, next to its packages. CHANGELOG.md is left out: it has to say the old names.
LOOSE_FILES = ("manage.py", "README.md", "Makefile", "Dockerfile", "compose.yaml", "pyproject.toml")
TEXT_SUFFIXES = frozenset(
    {".py", ".html", ".md", ".po", ".js", ".css", ".json", ".conf", ".cfg", ".lua", ".toml", ".yaml", ".txt", ""}
)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that breaks a rule; lines count from 1."""

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the product: its path below the root, and its text."""

    path: str
    text: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def folders(self) -> list[str]:
        return self.path.split("/")[:-1]

    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


def product_files(root: Path = ROOT) -> Iterator[SourceFile]:
    """Yield the text files of the product. Migrations are history and stay as they were released."""
    folders = [root / name for name in (*packages(root), "templates")]
    paths = [root / name for name in LOOSE_FILES] + [path for folder in folders for path in sorted(folder.rglob("*"))]
    for path in paths:
        if path.is_file() and path.suffix in TEXT_SUFFIXES and not {"migrations", "__pycache__"} & set(path.parts):
            yield SourceFile(path.relative_to(root).as_posix(), path.read_text())


def python_files(root: Path = ROOT) -> Iterator[SourceFile]:
    """Yield the Python files of the product's packages."""
    return (file for file in product_files(root) if file.path.endswith(".py") and file.folders)


def suite_files(root: Path = ROOT) -> Iterator[SourceFile]:
    """Yield the Python files of the tests."""
    for path in sorted((root / "tests").rglob("*.py")):
        yield SourceFile(path.relative_to(root).as_posix(), path.read_text())


def packages(root: Path = ROOT) -> list[str]:
    """Return the names of the product's packages, from the one list that import-linter reads too."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    names: list[str] = project["tool"]["importlinter"]["root_packages"]
    return names


def split_words(text: str) -> list[str]:
    """Return the words of prose and the parts of camelCase and snake_case identifiers, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)]


def docstrings(tree: ast.Module) -> set[ast.Constant]:
    """Return the nodes that are docstrings."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies: Iterable[list[ast.stmt]] = (node.body for node in ast.walk(tree) if isinstance(node, owners))
    firsts = (body[0].value for body in bodies if body and isinstance(body[0], ast.Expr))
    return {value for value in firsts if isinstance(value, ast.Constant)}
