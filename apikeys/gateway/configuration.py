"""What gateways are told, beforehand: routes, limits and key digests, and whether any of it has changed."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import BoundedSemaphore
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Count, Q, Sum
from django.db.models.functions import Now

from apikeys.models import KeySecret
from catalog.models import Api, ApiStatus
from stoa_cp.db.changes import as_json
from stoa_cp.eventlog.models import EventChain
from stoa_cp.net.urls import DEFAULT_PORTS
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import TenantStatus

DIGEST_ALGORITHM = "hmac-sha256"
MAX_WAIT_SECONDS = 60
POLL_SECONDS = 0.5
# A waiting gateway keeps a thread of the web server, which has four per process (stoa_cp/devserver/programs.py):
# half of them stay free for everybody else, whatever the number of gateways.
MAX_WAITING_PER_PROCESS = 2
RETRY_AFTER_SECONDS = 5  # for those who find no place

_long_poll_slots = BoundedSemaphore(MAX_WAITING_PER_PROCESS)


@dataclass(frozen=True, slots=True)
class Route:
    """Where calls to one API come in, ``/<tenant name><api path>``, and where they go."""

    api_id: str
    tenant_id: str
    tenant: str
    name: str
    path: str
    upstream_url: str
    auth_required: bool
    requests_per_hour: int | None
    status: str

    @property
    def host(self) -> str:
        return urlsplit(self.upstream_url).hostname or ""

    @property
    def scheme(self) -> str:
        return urlsplit(self.upstream_url).scheme

    @property
    def port(self) -> int:
        return urlsplit(self.upstream_url).port or DEFAULT_PORTS[self.scheme]

    @property
    def authority(self) -> str:
        return urlsplit(self.upstream_url).netloc

    @property
    def base_path(self) -> str:
        """The path before what follows the route's own; without a slash at its end."""
        return urlsplit(self.upstream_url).path.rstrip("/")


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything at one moment. ``tag`` is the same for the same content.

    ``was_awaited`` is False where somebody wanted to wait for a change and there was no place for it.
    """

    document: dict[str, Any]
    tag: str
    was_awaited: bool = True


def list_routes() -> list[Route]:
    """Return the routes of all live APIs of live tenants, the longest path first: the order in which to match."""
    apis = Api.objects.live().filter(tenant__deleted_at=None).select_related("tenant")
    routes = [_route(api) for api in apis.order_by("id").iterator()]
    return sorted(routes, key=lambda route: (-len(route.path), route.path))


def _route(api: Api) -> Route:
    return Route(
        api_id=api.id,
        tenant_id=api.tenant_id,
        tenant=api.tenant.name,
        name=api.name,
        path=f"/{api.tenant.name}{api.path}".rstrip("/"),
        upstream_url=api.upstream_url,
        auth_required=api.auth_required,
        requests_per_hour=api.requests_per_hour,
        # A gateway that decides by itself sees one word for "not now", whoever said it.
        status=api.status if api.tenant.status == TenantStatus.ACTIVE else ApiStatus.INACTIVE,
    )


def list_subscriptions() -> list[Subscription]:
    """Return the subscriptions that let calls through now, with their plans."""
    running = Subscription.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=Now()), status=SubscriptionStatus.ACTIVE
    )
    return list(running.filter(api__deleted_at=None, tenant__deleted_at=None).select_related("plan").order_by("id"))


def read_configuration() -> Configuration:
    """Read what a gateway needs to decide by itself.

    ``keys[].digest`` is HMAC-SHA256 in hexadecimal under one of STOA_KEY_PEPPERS, which such a gateway must be given
    as well. Times bind the gateway: it refuses what is past ``expires_at`` or ``valid_until`` on its own.
    """
    # Three statements, the children first: what they point to is there, or was deleted in between.
    secrets = KeySecret.objects.filter(
        Q(valid_until=None) | Q(valid_until__gt=Now()),
        Q(key__expires_at=None) | Q(key__expires_at__gt=Now()),
        key__revoked_at=None,
        key__subscription__status=SubscriptionStatus.ACTIVE,
    )
    document = {
        "digest_algorithm": DIGEST_ALGORITHM,
        "keys": [_key(secret) for secret in secrets.select_related("key").order_by("id").iterator()],
        "subscriptions": [_subscription(subscription) for subscription in list_subscriptions()],
        "routes": [_route_document(route) for route in list_routes()],
    }
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return Configuration(document, hashlib.sha256(content.encode()).hexdigest()[:32])


def _key(secret: KeySecret) -> dict[str, Any]:
    return {
        "id": secret.key_id,
        "subscription_id": secret.key.subscription_id,
        "digest": bytes(secret.digest).hex(),
        "mode": secret.key.mode,
        "expires_at": as_json(secret.key.expires_at),
        "valid_until": as_json(secret.valid_until),
    }


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "tenant_id": subscription.tenant_id,
        "api_id": subscription.api_id,
        "application": subscription.application,
        "plan": subscription.plan.slug,
        "rate_limit": subscription.rate_limit,
        "quota": subscription.quota,
        "expires_at": as_json(subscription.expires_at),
    }


def _route_document(route: Route) -> dict[str, Any]:
    return {
        "api_id": route.api_id,
        "tenant_id": route.tenant_id,
        "tenant": route.tenant,
        "path": route.path,
        "upstream_url": route.upstream_url,
        "auth_required": route.auth_required,
        "rate_limit": {"requests_per_hour": route.requests_per_hour},
        "status": route.status,
    }


def state_version() -> tuple[int, int]:
    """Return a number that grows with every change of anything: one cheap statement over the heads of the event log."""
    state = EventChain.objects.aggregate(chains=Count("pk"), events=Sum("sequence"))
    return state["chains"], state["events"] or 0


def wait_for_change(is_known: Callable[[str], bool], wait_seconds: float) -> Configuration:
    """Return the configuration as soon as its tag is not known any more, or as it is when the time is over.

    Waits without a transaction. Where MAX_WAITING_PER_PROCESS wait already, it does not wait at all.
    """
    deadline = monotonic() + wait_seconds
    seen = state_version()  # before the content: a change in between is looked at once more
    configuration = read_configuration()
    if not is_known(configuration.tag) or not wait_seconds:
        return configuration
    if not _long_poll_slots.acquire(blocking=False):
        return replace(configuration, was_awaited=False)
    try:
        while is_known(configuration.tag) and (left := deadline - monotonic()) > 0:
            sleep(min(POLL_SECONDS, left))
            now = state_version()
            if now != seen:
                seen, configuration = now, read_configuration()
    finally:
        _long_poll_slots.release()
    return configuration
