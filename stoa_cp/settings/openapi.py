"""Settings of the OpenAPI document (drf-spectacular's)."""

from typing import Any

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "STOA Control Plane",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "SERVERS": [{"url": "/"}],
    "SCHEMA_PATH_PREFIX": "/v1",
    "TAGS": [  # in the order of the story
        {"name": name, "description": description}
        for name, description in {
            "Identity": "Who the service thinks that you are.",
            "Tenants": "Organisations that offer APIs, each on a tier.",
            "APIs": "What a tenant offers, and at which path of its gateway.",
            "Plans": "The terms under which applications subscribe.",
            "Subscriptions": "Applications ask for access, and the tenant decides.",
            "API keys": "What an application shows to the gateway.",
            "Gateways": "The proxies that may ask about calls.",
            "Gateway": "For the proxies that carry the traffic.",
            "Metrics": "Requests, errors and latencies over time, and what subscriptions have used.",
            "Webhooks": "Where events are sent, and every attempt to send them.",
            "Events": "The log of everything that happened, in order.",
        }.items()
    ],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "WebhookStatus": "webhooks.models.WebhookStatus",
        "DeliveryStatus": "webhooks.models.DeliveryStatus",
        "TenantStatus": "tenants.models.TenantStatus",
        "TenantTier": "tenants.models.Tier",
        "ApiStatus": "catalog.models.ApiStatus",
        "PlanApproval": "subscriptions.models.Approval",
        "SubscriptionStatus": "subscriptions.models.SubscriptionStatus",
        "ApiKeyStatus": "apikeys.models.KeyStatus",
        "ApiKeyMode": "apikeys.models.Mode",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "webhooks.openapi.describe_webhooks",
        "stoa_cp.openapi.schema.add_shared_responses",
        "stoa_cp.openapi.hooks.add_shared_parameters",
        "stoa_cp.openapi.hooks.refuse_unknown_fields",
    ],
}
