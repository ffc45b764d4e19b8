"""Compares an example of the OpenAPI document with a real answer: fields, types, formats and ids, not values."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

FORMATS = {
    "id": r"[a-z]{3}-[0-9a-hjkmnp-tv-z]{16}",
    "moment": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "date": r"\d{4}-\d\d-\d\d",
    "credential": r"stoa_[a-z]+_\w{46}",
    "signing secret": r"whsec_[\w+/=]+",
    "URL": r"https?://.*",
    "path": r"/.*",
    "digest": r"[0-9a-f]{64}",
}


def format_of(text: str) -> str:
    """Return the format of a string; for an id, with its prefix."""
    found = next((name for name, pattern in FORMATS.items() if re.fullmatch(pattern, text)), "text")
    return f"id {text[:4]}" if found == "id" else found


class Shapes:
    """Compares values by the schemas of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]

    def differences(self, example: Any, real: Any, schema: Mapping[str, Any], where: str = "") -> Iterator[str]:
        """Yield what the example shows otherwise than the real answer. Null is like any value: schemas say where."""
        if example is None or real is None:
            return
        schema = self._resolve(schema)
        if type(example) is not type(real):
            yield f"{where}: {example!r} is {type(example).__name__}, not {type(real).__name__}"
        elif isinstance(real, dict):
            yield from self._differences_in_fields(example, real, schema, where)
        elif isinstance(real, list):
            yield from self._differences_in_items(example, real, schema, where)
        elif isinstance(real, str):
            if example not in schema.get("enum", [example]):
                yield f"{where}: {example!r} is none of {schema['enum']}"
            if format_of(example) != format_of(real):
                yield f"{where}: {example!r} is {format_of(example)}, not {format_of(real)}"

    def _differences_in_fields(
        self, example: dict[str, Any], real: dict[str, Any], schema: Mapping[str, Any], where: str
    ) -> Iterator[str]:
        properties = schema["properties"]
        if not properties:  # a map: the fields of an event depend on its type
            return
        for name in sorted(real.keys() - example.keys()):
            yield f"{where}.{name}: the answer has it, the example has not"
        for name in sorted(example.keys() - real.keys()):
            if name not in properties or name in schema["required"]:
                yield f"{where}.{name}: the example has it, the answer has not"
        for name in example.keys() & real.keys():
            yield from self.differences(example[name], real[name], properties.get(name, {}), f"{where}.{name}")

    def _differences_in_items(
        self, example: list[Any], real: list[Any], schema: Mapping[str, Any], where: str
    ) -> Iterator[str]:
        """Compare each item of the example with the real item that is most like it."""
        for number, item in enumerate(example if real else ()):
            name = f"{where}[{number}]"
            yield from min(
                (list(self.differences(item, other, schema.get("items", {}), name)) for other in real), key=len
            )

    def _resolve(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return a schema with its references followed and its alternatives merged."""
        if "$ref" in schema:
            return self._resolve(self._schemas[schema["$ref"].rpartition("/")[2]])
        merged: dict[str, Any] = {"properties": {}, "required": []}
        parts = [part for keyword in ("allOf", "oneOf", "anyOf") for part in schema.get(keyword, [])]
        for part in [*map(self._resolve, parts), schema]:
            merged["properties"] |= part.get("properties", {})
            merged["required"] += part.get("required", [])
            if "items" in part:
                merged["items"] = part["items"]
            if "enum" in part:
                merged["enum"] = merged.get("enum", []) + part["enum"]
        return merged


def unseen(example: Any, real: Any, where: str = "") -> Iterator[str]:
    """Yield where the example has a value and the real answer has none to compare it with."""
    if isinstance(example, dict) and isinstance(real, dict):
        for name in example.keys() & real.keys():
            yield from unseen(example[name], real[name], f"{where}.{name}")
    elif isinstance(example, list) and isinstance(real, list) and example and real:
        yield from unseen(example[0], real[0], f"{where}[0]")
    elif (example is not None and real is None) or (example and real == []):
        yield where
