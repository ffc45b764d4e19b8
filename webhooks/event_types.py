"""The published event types, each with an example of the body that a webhook receives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

API_VERSION = "v1"
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event: its name, when it happens, and the ``data`` of an example."""

    name: str
    description: str | Promise
    data: Mapping[str, Any]

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]

    def example(self) -> dict[str, Any]:
        """Return a whole body, in the order in which the members are sent."""
        return {
            "id": "evt-4k2m9x7c1v5b8n3q",
            "type": self.name,
            "timestamp": "2026-01-09T10:30:00Z",
            "tenant_id": TENANT_ID,
            "api_version": API_VERSION,
            "data": dict(self.data),
        }


TENANT_ID = "ten-0c8h1vbn5r2k7wxz"
API_ID = "api-7m3q9t1z5x8c2v4b"
SUBSCRIPTION_ID = "sub-6n1p8r3s5t7v9w2x"

_TENANT = {
    "id": TENANT_ID,
    "name": "acme",
    "tier": "starter",
    "status": "active",
    "status_reason": "",
    "admin_email": "admin@acme.example",
    "region": "us-east-1",
    "settings": {"rate_limit_multiplier": 1.0, "rate_limit_per_hour": None},
    "gateway_url": "https://gateway.example.com/acme",
    "created_at": "2026-01-09T10:00:00Z",
    "version": 2,
}
_API = {
    "id": API_ID,
    "tenant_id": TENANT_ID,
    "name": "payment-api",
    "description": "Payments",
    "upstream_url": "https://api.payments.example.com",
    "path": "/payments",
    "public_url": "https://gateway.example.com/acme/payments",
    "api_version": "v1",
    "auth_required": True,
    "rate_limit": {"requests_per_hour": 1000},
    "openapi_url": "",
    "status": "active",
    "deprecated_at": None,
    "sunset_at": None,
    "created_at": "2026-01-09T10:15:00Z",
    "version": 1,
}
_PLAN = {
    "id": "pln-5c7d9f1g3h6j8k2m",
    "tenant_id": TENANT_ID,
    "slug": "standard",
    "name": "Standard",
    "rate_limit": 1000,
    "quota": 50000,
    "approval": "manual",
    "created_at": "2026-01-09T10:00:01Z",
    "version": 1,
}
_REQUEST = {
    "id": SUBSCRIPTION_ID,
    "tenant_id": TENANT_ID,
    "api_id": API_ID,
    "plan": "standard",
    "application": "mobile-app",
    "status": "pending_approval",
    "status_reason": "",
    "callback_url": "https://myapp.example/webhook",
    "rate_limit": None,
    "quota": None,
    "expires_at": None,
    "created_by": "dave",
    "decided_by": None,
    "decided_at": None,
    "created_at": "2026-01-09T10:30:00Z",
    "version": 1,
}
_DECISION = {"decided_by": "alice", "decided_at": "2026-01-09T10:31:00Z", "version": 2}
_SUBSCRIPTION = _REQUEST | _DECISION | {"status": "active", "rate_limit": 1000, "quota": 50000}
_KEY = {
    "id": "key-1b3c5d7f9g2h4j6k",
    "tenant_id": TENANT_ID,
    "subscription_id": SUBSCRIPTION_ID,
    "name": "Production",
    "mode": "live",
    "start": "stoa_live_0123",
    "expires_at": "2027-01-09T00:00:00Z",
    "revoked_at": None,
    "created_at": "2026-01-09T10:31:00Z",
    "version": 1,
}
_QUOTA = {
    "subscription_id": SUBSCRIPTION_ID,
    "period": {"start": "2026-01-01", "end": "2026-01-31"},
    "quota": 50000,
    "used": 40000,
    "percent": 80,
}
_WEBHOOK = {
    "id": "whk-8v6t4r2q1p3n5m7k",
    "subscription_id": None,
    "url": "https://myapp.example/webhooks/stoa",
    "events": ["subscription.*"],
    "description": "",
    "status": "enabled",
    "disabled_reason": "",
    "created_at": "2026-01-09T10:20:00Z",
    "version": 1,
}

TYPES: Mapping[str, EventType] = {
    event_type.name: event_type
    for event_type in (
        EventType("tenant.created", _("A tenant was created."), _TENANT | {"status": "provisioning", "version": 1}),
        EventType("tenant.activated", _("A tenant was set up and can be used."), _TENANT),
        EventType("tenant.updated", _("A tenant's fields were changed."), _TENANT | {"tier": "business"}),
        EventType("tenant.suspended", _("A tenant's keys are refused."), _TENANT | {"status": "suspended"}),
        EventType("tenant.resumed", _("A suspended tenant's keys work again."), _TENANT),
        EventType("tenant.deleted", _("A tenant is gone, with everything in it."), _TENANT | {"status": "deleted"}),
        EventType("api.created", _("An API was registered."), _API),
        EventType("api.updated", _("An API's fields were changed."), _API),
        EventType(
            "api.deprecated",
            _("An API has a date at which it ends."),
            _API
            | {"status": "deprecated", "deprecated_at": "2026-02-01T09:00:00Z", "sunset_at": "2026-08-01T00:00:00Z"},
        ),
        EventType("api.deleted", _("An API is gone."), _API),
        EventType("plan.created", _("A plan was created."), _PLAN),
        EventType("plan.updated", _("A plan's fields were changed."), _PLAN | {"quota": 100000, "version": 2}),
        EventType("plan.deleted", _("A plan is gone."), _PLAN),
        EventType(
            "subscription.created",
            _("An application asked for an API."),
            _REQUEST,
        ),
        EventType("subscription.approved", _("An application may call the API."), _SUBSCRIPTION),
        EventType(
            "subscription.rejected", _("The request was refused."), _REQUEST | _DECISION | {"status": "rejected"}
        ),
        EventType(
            "subscription.suspended",
            _("The subscription's keys are refused."),
            _SUBSCRIPTION | {"status": "suspended"},
        ),
        EventType("subscription.resumed", _("The subscription's keys work again."), _SUBSCRIPTION),
        EventType("subscription.revoked", _("The subscription is over."), _SUBSCRIPTION | {"status": "revoked"}),
        EventType(
            "subscription.expired",
            _("The subscription's time is over."),
            _SUBSCRIPTION | {"status": "expired"},
        ),
        EventType("subscription.updated", _("The subscription's terms were changed."), _SUBSCRIPTION),
        EventType("apikey.created", _("A key was issued."), _KEY),
        EventType("apikey.rotated", _("A key has a new secret."), _KEY | {"start": "stoa_live_4567", "version": 2}),
        EventType(
            "apikey.revoked",
            _("A key is refused for ever."),
            _KEY | {"revoked_at": "2026-03-01T12:00:00Z", "version": 2},
        ),
        EventType("apikey.expiring", _("A key ends in 30, 7 or 1 days."), _KEY | {"version": 2}),
        EventType("apikey.expired", _("A key's time is over."), _KEY | {"version": 2}),
        EventType("quota.warning", _("80 % of a month's quota are used."), _QUOTA),
        EventType("quota.exceeded", _("A month's quota is used up."), _QUOTA | {"used": 50000, "percent": 100}),
        EventType("webhook.test", _("Somebody tries the webhook out; only that webhook receives it."), _WEBHOOK),
        EventType(
            "webhook.disabled",
            _("A webhook failed for too long."),
            _WEBHOOK | {"status": "disabled", "disabled_reason": "No delivery succeeded for 5 days.", "version": 2},
        ),
    )
}
# ``webhook.test`` is addressed to one webhook, whatever that subscribed to: see ``services.send_test``.
BROADCAST = frozenset(TYPES) - {"webhook.test"}
# In the log as the audit trail of webhooks themselves and of what operators do to counts; delivered to nobody.
AUDITED_ONLY = frozenset(
    f"webhook.{change}" for change in ("created", "updated", "deleted", "secret_rotated", "redelivered", "replayed")
) | {"quota.reset"}
FAMILIES = tuple(dict.fromkeys(event_type.family for event_type in TYPES.values()))


def patterns() -> Iterator[str]:
    """Yield everything that a webhook may subscribe to: each name, each family, and ``*``."""
    yield from TYPES
    yield from (f"{family}.*" for family in FAMILIES)
    yield EVERYTHING


def patterns_matching(event_type: str) -> list[str]:
    """Return the subscriptions that an event of this type answers to."""
    return [event_type, f"{event_type.partition('.')[0]}.*", EVERYTHING]
