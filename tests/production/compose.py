"""Reads compose.yaml as a container engine does: variables, merges, defaults of the image."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose.yaml"
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[?-])([^}]*))?\})")


class Missing(Exception):
    """A variable that compose.yaml demands is not set."""


def required_variables() -> set[str]:
    """Return the names that stand in ``${NAME:?}``."""
    return {found[2] for found in VARIABLE.finditer(COMPOSE.read_text()) if found[3] == ":?"}


def read_document(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the document with its variables replaced. Raises Missing."""
    document: dict[str, Any] = _replaced(yaml.safe_load(COMPOSE.read_text()), variables)
    return document


def _replaced(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, variables) for each in value]
    return VARIABLE.sub(lambda found: _value(found, variables), value) if isinstance(value, str) else value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found[1]:
        return "$"
    value = variables.get(found[2], "")
    if found[3] == ":?" and not value:
        raise Missing(found[2])
    return value or (found[4] if found[3] == ":-" else "")


@dataclass(frozen=True, slots=True)
class Service:
    """One service of compose.yaml."""

    name: str
    values: Mapping[str, Any]

    @property
    def is_once(self) -> bool:
        """Tell whether it ends by itself."""
        return bool(self.values["restart"] == "on-failure")

    @property
    def target(self) -> str:
        """The stage of our Dockerfile that it runs, or an empty text."""
        return str(self.values.get("build", {}).get("target", ""))

    @property
    def health(self) -> list[str] | None:
        """The command of its own health check; None if it has none, or leaves it to the image."""
        match self.values.get("healthcheck", {}).get("test"):
            case ["CMD", *command]:
                return list(command)
            case ["CMD-SHELL", text]:
                return ["/bin/sh", "-c", text]
        return None

    @property
    def is_unchecked(self) -> bool:
        return bool(self.values.get("healthcheck", {}).get("disable"))

    @property
    def tmpfs(self) -> dict[str, str]:
        """The options of each folder that is empty at the start."""
        pairs = (text.partition(":") for text in self.values.get("tmpfs", []))
        return {path: options for path, _colon, options in pairs}

    @property
    def volumes(self) -> list[tuple[str, str, str]]:
        """Volume, path, and ``ro`` or an empty text."""
        parts = (text.split(":") for text in self.values.get("volumes", []))
        return [(name, path, "".join(mode)) for name, path, *mode in parts]

    @property
    def waits_for(self) -> Mapping[str, str]:
        return {name: each["condition"] for name, each in self.values.get("depends_on", {}).items()}


def services(document: Mapping[str, Any]) -> dict[str, Service]:
    return {name: Service(name, values) for name, values in document["services"].items()}


def in_order(found: Mapping[str, Service]) -> list[Service]:
    """Return the services so that each comes after those that it waits for."""
    ordered: dict[str, Service] = {}

    def add(name: str) -> None:
        for other in found[name].waits_for:
            add(other)
        ordered.setdefault(name, found[name])

    for name in found:
        add(name)
    return list(ordered.values())
