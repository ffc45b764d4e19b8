"""The comparison of examples with answers finds what it is there for."""

from typing import Any

import pytest

from tests.contract.shapes import Shapes, format_of, unseen

SCHEMAS = {
    "Status": {"type": "string", "enum": ["active", "revoked"]},
    "Null": {"enum": [None]},
    "Limit": {"type": "object", "properties": {"limit": {"type": "integer"}}, "required": ["limit"]},
    "Key": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "status": {"oneOf": [{"$ref": "#/components/schemas/Status"}, {"$ref": "#/components/schemas/Null"}]},
            "limits": {"type": "array", "items": {"$ref": "#/components/schemas/Limit"}},
            "created_at": {"type": "string"},
            "data": {"type": "object"},
            "note": {"type": "string"},
        },
        "required": ["id", "status", "limits", "created_at", "data"],
    },
}
REAL: dict[str, Any] = {
    "id": "key-0123456789abcdef",
    "status": "active",
    "limits": [{"limit": 1}],
    "created_at": "2026-01-09T10:30:00Z",
    "data": {"a": 1},
}


def differences(**changes: Any) -> list[str]:
    example = {name: value for name, value in (REAL | changes).items() if value != "left out"}
    found = Shapes({"components": {"schemas": SCHEMAS}}).differences(
        example, REAL, {"$ref": "#/components/schemas/Key"}
    )
    return [difference.partition(":")[0] for difference in found]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": "key-zzzzzzzzzzzzzzzz", "status": "revoked", "created_at": "1999-12-31T23:59:59Z"},
        {"limits": [{"limit": 7}, {"limit": 8}]},
        {"limits": []},
        {"status": None},
        {"data": {"anything": "else"}},
        {"note": "may be there"},
    ],
    ids=str,
)
def test_other_values_are_the_same_shape(changes: dict[str, Any]) -> None:
    assert differences(**changes) == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"id": "sub-0123456789abcdef"}, ".id"),
        ({"id": 7}, ".id"),
        ({"status": "running"}, ".status"),
        ({"created_at": "2026-01-09 10:30"}, ".created_at"),
        ({"created_at": "left out"}, ".created_at"),
        ({"invented": True}, ".invented"),
        ({"limits": {"limit": 1}}, ".limits"),
        ({"limits": [{"limit": 1}, {"limit": True}]}, ".limits[1].limit"),
        ({"limits": [{"maximum": 1, "limit": 1}]}, ".limits[0].maximum"),
    ],
    ids=str,
)
def test_a_false_example_is_found(changes: dict[str, Any], where: str) -> None:
    assert differences(**changes) == [where]


def test_formats() -> None:
    assert format_of("key-0123456789abcdef") == "id key-"
    assert format_of("mobile-app") == "text"
    assert format_of("/payments") == "path"


def test_what_could_not_be_compared_is_told() -> None:
    assert list(unseen({"a": 1, "b": [1], "c": [{"d": 1}]}, {"a": None, "b": [], "c": [{"d": None}]})) != []
    assert list(unseen({"a": None, "b": []}, {"a": 1, "b": [1]})) == []
