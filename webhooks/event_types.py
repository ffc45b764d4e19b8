"""The published event types, each with an example of the body that a webhook receives.

Each app names its own events in its ``event_types``. This module, at the right end of the line of apps, joins them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apikeys.event_types import KeyEvent, QuotaEvent
from catalog.event_types import ApiEvent, GatewayEvent
from stoa_cp.operators.event_types import OperatorEvent
from subscriptions.event_types import PlanEvent, SubscriptionEvent
from tenants.event_types import TenantEvent

API_VERSION = "v1"
EVERYTHING = "*"


class WebhookEvent(StrEnum):
    """The events of a webhook itself."""

    CREATED = "webhook.created"
    UPDATED = "webhook.updated"
    DELETED = "webhook.deleted"
    SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105 - an event's name
    REDELIVERED = "webhook.redelivered"
    REPLAYED = "webhook.replayed"
    TEST = "webhook.test"
    DISABLED = "webhook.disabled"


@dataclass(frozen=True, slots=True)
class EventType:
    """A published event: its name, when it happens, and an example of its ``data``."""

    name: StrEnum
    description: str | Promise
    data: Mapping[str, Any]

    @property
    def family(self) -> str:
        return str(self.name).partition(".")[0]

    def example(self) -> dict[str, Any]:
        """Return a whole body, with its members in the order in which they are sent."""
        return {
            "id": "evt-4k2m9x7c1v5b8n3q",
            "type": self.name,
            "timestamp": "2026-01-09T10:30:00Z",
            "tenant_id": TENANT_ID,
            "api_version": API_VERSION,
            "data": dict(self.data),
        }


TENANT_ID = "ten-8fk2m9q0z3xv7hbt"
API_ID = "api-0c8h1vbn5r2k7wxz"
SUBSCRIPTION_ID = "sub-4m9q2tfd8s6j3yga"

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
    "sandbox_url": None,
    "path": "/payments",
    "public_url": "https://gateway.example.com/acme/payments",
    "api_version": "v1",
    "auth_required": True,
    "rate_limit": {"requests_per_hour": 1000},
    "openapi_url": "",
    "status": "active",
    "deprecated_at": None,
    "sunset_at": None,
    "upstream_refused_at": None,
    "created_at": "2026-01-09T10:15:00Z",
    "version": 1,
}
_REFUSED = {"upstream_refused_at": "2026-02-01T09:00:00Z", "version": 2}
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
    "rate_limit": 1000,
    "quota": 50000,
    "expires_at": None,
    "created_by": "dave",
    "decided_by": None,
    "decided_at": None,
    "created_at": "2026-01-09T10:30:00Z",
    "version": 1,
}
_DECISION = {"decided_by": "alice", "decided_at": "2026-01-09T10:31:00Z", "version": 2}
_REJECTED = _REQUEST | _DECISION | {"status": "rejected"}
_SUBSCRIPTION = _REQUEST | _DECISION | {"status": "active"}
_KEY = {
    "id": "key-9w3e7n1p5z8c2v6b",
    "tenant_id": TENANT_ID,
    "subscription_id": SUBSCRIPTION_ID,
    "name": "Production",
    "mode": "live",
    "start": "stoa_live_0123",
    "expires_at": "2027-01-09T00:00:00Z",
    "allowed_ips": ["198.51.100.0/24"],
    "allowed_methods": None,
    "allowed_paths": None,
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

TYPES: Mapping[StrEnum, EventType] = {
    event_type.name: event_type
    for event_type in (
        EventType(TenantEvent.CREATED, _("A tenant was created."), _TENANT | {"status": "provisioning", "version": 1}),
        EventType(TenantEvent.ACTIVATED, _("A tenant was set up and can be used."), _TENANT),
        EventType(TenantEvent.UPDATED, _("A tenant's fields were changed."), _TENANT | {"tier": "business"}),
        EventType(TenantEvent.SUSPENDED, _("A tenant's keys are refused."), _TENANT | {"status": "suspended"}),
        EventType(TenantEvent.RESUMED, _("A suspended tenant's keys work again."), _TENANT),
        EventType(TenantEvent.DELETED, _("A tenant is gone, with everything in it."), _TENANT | {"status": "deleted"}),
        EventType(ApiEvent.CREATED, _("An API was registered."), _API),
        EventType(ApiEvent.UPDATED, _("An API's fields were changed."), _API),
        EventType(
            ApiEvent.DEPRECATED,
            _("An API has a date at which it ends."),
            _API
            | {"status": "deprecated", "deprecated_at": "2026-02-01T09:00:00Z", "sunset_at": "2026-08-01T00:00:00Z"},
        ),
        EventType(ApiEvent.DELETED, _("An API is gone."), _API),
        EventType(ApiEvent.UPSTREAM_REFUSED, _("An API's host leads to a forbidden address."), _API | _REFUSED),
        EventType(ApiEvent.UPSTREAM_ACCEPTED, _("An API's hosts may be called again."), _API | {"version": 3}),
        EventType(PlanEvent.CREATED, _("A plan was created."), _PLAN),
        EventType(PlanEvent.UPDATED, _("A plan's fields were changed."), _PLAN | {"quota": 100000, "version": 2}),
        EventType(PlanEvent.DELETED, _("A plan is gone."), _PLAN),
        EventType(SubscriptionEvent.CREATED, _("An application asked for an API."), _REQUEST),
        EventType(SubscriptionEvent.APPROVED, _("An application may call the API."), _SUBSCRIPTION),
        EventType(SubscriptionEvent.REJECTED, _("The request was refused."), _REJECTED),
        EventType(
            SubscriptionEvent.SUSPENDED,
            _("The subscription's keys are refused."),
            _SUBSCRIPTION | {"status": "suspended"},
        ),
        EventType(SubscriptionEvent.RESUMED, _("The subscription's keys work again."), _SUBSCRIPTION),
        EventType(SubscriptionEvent.REVOKED, _("The subscription is over."), _SUBSCRIPTION | {"status": "revoked"}),
        EventType(
            SubscriptionEvent.EXPIRED,
            _("The subscription's time is over."),
            _SUBSCRIPTION | {"status": "expired"},
        ),
        EventType(SubscriptionEvent.UPDATED, _("The subscription's terms were changed."), _SUBSCRIPTION),
        EventType(KeyEvent.CREATED, _("A key was issued."), _KEY),
        EventType(KeyEvent.UPDATED, _("A key's name, end, or allowed use was changed."), _KEY | {"version": 2}),
        EventType(KeyEvent.ROTATED, _("A key has a new secret."), _KEY | {"start": "stoa_live_4567", "version": 2}),
        EventType(
            KeyEvent.REVOKED,
            _("A key is refused for ever."),
            _KEY | {"revoked_at": "2026-03-01T12:00:00Z", "version": 2},
        ),
        EventType(KeyEvent.EXPIRING, _("A key ends in 30, 7 or 1 days."), _KEY | {"version": 2}),
        EventType(KeyEvent.EXPIRED, _("A key's time is over."), _KEY | {"version": 2}),
        EventType(
            KeyEvent.LEAKED,
            _("A key was found in public."),
            _KEY | {"url": "https://example.com/acme/app/config.py", "source": "content", "version": 2},
        ),
        EventType(QuotaEvent.WARNING, _("80 % of a month's quota are used."), _QUOTA),
        EventType(QuotaEvent.EXCEEDED, _("A month's quota is used up."), _QUOTA | {"used": 50000, "percent": 100}),
        EventType(WebhookEvent.TEST, _("A webhook was tested; only that webhook receives it."), _WEBHOOK),
        EventType(
            WebhookEvent.DISABLED,
            _("A webhook failed for too long."),
            _WEBHOOK | {"status": "disabled", "disabled_reason": "No delivery succeeded for 5 days.", "version": 2},
        ),
    )
}
# What the fan-out sends to every webhook that subscribes to it. A test is for one webhook: see ``services.send_test``.
BROADCAST = frozenset(TYPES) - {WebhookEvent.TEST}
ALL_EVENTS = frozenset[StrEnum]().union(
    TenantEvent, ApiEvent, GatewayEvent, PlanEvent, SubscriptionEvent, KeyEvent, QuotaEvent, WebhookEvent, OperatorEvent
)
# Only for the audit trail, never delivered: what happens to webhooks and gateways, and what operators do.
AUDITED_ONLY = ALL_EVENTS - frozenset(TYPES)
FAMILIES = tuple(dict.fromkeys(event_type.family for event_type in TYPES.values()))


def patterns() -> Iterator[str]:
    """Yield all that a webhook may subscribe to: each event's name, each family (``subscription.*``), and ``*``."""
    yield from TYPES
    yield from (f"{family}.*" for family in FAMILIES)
    yield EVERYTHING


def patterns_matching(event_type: str) -> list[str]:
    """Return the patterns that match an event's type: its name, its family, and ``*``."""
    return [event_type, f"{event_type.partition('.')[0]}.*", EVERYTHING]
