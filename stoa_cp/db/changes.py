"""Applies a partial update to a row, and returns what it changed, for the event log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Model

_ABSENT = object()  # equals no value: a field that is no attribute of the row always differs


def changed_fields(row: Model, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields whose value differs from the row's. A client may send back what it read: that is no change."""
    return {name: value for name, value in fields.items() if getattr(row, name, _ABSENT) != value}


def apply_changes(row: Model, fields: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Set the attributes that differ, and return them as ``{name: [before, after]}`` in JSON types. Does not save."""
    changes = {}
    for name, value in changed_fields(row, fields).items():
        changes[name] = [as_json(getattr(row, name)), as_json(value)]
        setattr(row, name, value)
    return changes


def as_json(value: Any) -> Any:
    """Return a field's value as the event log stores it: times as RFC 3339 in UTC, the rest unchanged."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value
