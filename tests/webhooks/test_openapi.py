"""The ``webhooks`` section of the OpenAPI document."""

from typing import Any

from webhooks.event_types import TYPES
from webhooks.openapi import describe_webhooks


def test_every_event_is_described_with_the_catalogues_example() -> None:
    document: dict[str, Any] = describe_webhooks({"components": {"schemas": {}}})
    assert set(document["webhooks"]) == set(TYPES)
    for name, item in document["webhooks"].items():
        operation = item["post"]
        media = operation["requestBody"]["content"]["application/json"]
        assert media["example"] == TYPES[name].example()
        assert media["schema"] == {"$ref": "#/components/schemas/EventBody"}
        assert {parameter["name"] for parameter in operation["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }
    assert set(document["components"]["schemas"]["EventBody"]["properties"]) == set(TYPES["api.created"].example())
