"""The configuration for gateways: routes, limits and key digests; and the long poll for its changes."""

import hashlib
import json
from collections.abc import Callable, Collection
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
# A waiting gateway occupies a thread; and a proxy in front of us gives up after as long (nginx's proxy_read_timeout).
MAX_WAIT_SECONDS = 60
# A poll is one cheap statement (``state_version``), so two a second for each waiting gateway are no load, and half a
# second is soon enough for a configuration.
POLL_SECONDS = 0.5
# A waiting gateway occupies a thread of the web server, which has four per process (stoa_cp/devserver/programs.py).
# Half of them stay free for all other requests, whatever the number of gateways.
MAX_WAITING_PER_PROCESS = 2
# For a gateway that finds all slots taken. So it gets a change within 5 s instead of 0.5 s.
RETRY_AFTER_SECONDS = 5

# The ids of the tenants that a gateway is bound to; None is all of them.
Tenants = Collection[str] | None

long_poll_slots = BoundedSemaphore(MAX_WAITING_PER_PROCESS)


@dataclass(frozen=True, slots=True)
class Route:
    """One API for a gateway: calls to ``path``, which is ``/<tenant name><api path>``, go to ``upstream_url``."""

    api_id: str
    tenant_id: str
    tenant: str
    path: str
    upstream_url: str
    auth_required: bool
    requests_per_hour: int | None
    status: str
    sandbox_url: str | None = None  # where calls with test keys go; None: nowhere

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
        """The upstream's path, which stands before the rest of the call's path; without a slash at its end."""
        return urlsplit(self.upstream_url).path.rstrip("/")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The content at one moment. Equal contents have equal tags.

    ``had_no_slot``: the gateway wanted to wait for a change, but too many others were waiting.
    """

    document: dict[str, Any]
    tag: str
    had_no_slot: bool = False


def list_routes(tenants: Tenants = None) -> list[Route]:
    """Return the routes of all live APIs of live tenants, the longest path first: the order in which to match."""
    apis = Api.objects.live().filter(_of(tenants), tenant__deleted_at=None).select_related("tenant")
    routes = [_route(api) for api in apis.order_by("id").iterator()]
    return sorted(routes, key=lambda route: (-len(route.path), route.path))


def _route(api: Api) -> Route:
    return Route(
        api_id=api.id,
        tenant_id=api.tenant_id,
        tenant=api.tenant.name,
        path=f"/{api.tenant.name}{api.path}".rstrip("/"),
        upstream_url=api.upstream_url,
        sandbox_url=api.sandbox_url,
        auth_required=api.auth_required,
        requests_per_hour=api.requests_per_hour,
        # For a gateway that decides by itself, the API of a tenant that is not active is off, too.
        status=api.status if api.tenant.status == TenantStatus.ACTIVE else ApiStatus.INACTIVE,
    )


def _of(tenants: Tenants) -> Q:
    return Q() if tenants is None else Q(tenant__in=tenants)


def list_subscriptions(tenants: Tenants = None) -> list[Subscription]:
    """Return the subscriptions that allow calls now, with their plans."""
    running = Subscription.objects.filter(
        _of(tenants), Q(expires_at=None) | Q(expires_at__gt=Now()), status=SubscriptionStatus.ACTIVE
    )
    return list(running.filter(api__deleted_at=None, tenant__deleted_at=None).select_related("plan").order_by("id"))


def read_configuration(tenants: Tenants = None) -> Configuration:
    """Return everything that a gateway of these tenants needs to decide by itself.

    ``keys[].digest`` is HMAC-SHA256 in hexadecimal under one of STOA_KEY_PEPPERS, which such a gateway must have as
    well. It must refuse calls after ``expires_at`` and ``valid_until`` by itself: the events about them come later,
    from a sweep. And those that ``allowed_ips``, ``allowed_methods`` and ``allowed_paths`` do not allow.
    """
    # Three statements, each with its own snapshot. Keys first, then subscriptions, then routes: a row that is created
    # in between is never referred to before it is there. One that is deleted in between may be; then the key opens
    # nothing.
    secrets = KeySecret.objects.valid().filter(
        Q() if tenants is None else Q(key__tenant__in=tenants),
        Q(key__expires_at=None) | Q(key__expires_at__gt=Now()),
        key__revoked_at=None,
        key__subscription__status=SubscriptionStatus.ACTIVE,
    )
    document = {
        "digest_algorithm": DIGEST_ALGORITHM,
        "keys": [_key(secret) for secret in secrets.select_related("key").order_by("id").iterator()],
        "subscriptions": [_subscription(subscription) for subscription in list_subscriptions(tenants)],
        "routes": [_route_document(route) for route in list_routes(tenants)],
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
        "allowed_ips": secret.key.allowed_ips,
        "allowed_methods": secret.key.allowed_methods,
        "allowed_paths": secret.key.allowed_paths,
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
        "sandbox_url": route.sandbox_url,
        "auth_required": route.auth_required,
        "rate_limit": {"requests_per_hour": route.requests_per_hour},
        "status": route.status,
    }


def state_version() -> tuple[int, int]:
    """Return numbers that grow with every event: one cheap statement over the heads of the event chains.

    Every change of a configuration emits an event, so equal numbers mean that nothing has changed, except for digests
    that were renewed under the newest pepper: the next request returns them, and until then the older ones are as good.
    """
    state = EventChain.objects.aggregate(chains=Count("pk"), events=Sum("sequence"))
    return state["chains"], state["events"] or 0


def wait_for_change(is_known: Callable[[str], bool], wait_seconds: float, tenants: Tenants = None) -> Configuration:
    """Return the configuration as soon as its tag is not a known one; the known one when the time is over.

    Holds no transaction while it waits. Does not wait if MAX_WAITING_PER_PROCESS requests wait already.
    """
    deadline = monotonic() + wait_seconds
    # Before the content: after a change in between, the version differs and the content is read once more.
    seen = state_version()
    configuration = read_configuration(tenants)
    if not is_known(configuration.tag) or not wait_seconds:
        return configuration
    if not long_poll_slots.acquire(blocking=False):
        return replace(configuration, had_no_slot=True)
    try:
        while is_known(configuration.tag) and (left := deadline - monotonic()) > 0:
            sleep(min(POLL_SECONDS, left))
            now = state_version()
            if now != seen:
                seen, configuration = now, read_configuration(tenants)
    finally:
        long_poll_slots.release()
    return configuration
