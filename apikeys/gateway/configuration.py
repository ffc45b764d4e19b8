"""What configurations of gateways consist of: routes, subscriptions and key digests, read in portions.

Whatever a tenant has, one portion of it is in memory at a time, and each statement reads one portion by an index.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Length, Now

from apikeys.models import ApiKey, KeySecret
from catalog.models import Api, ApiStatus
from stoa_cp.db.changes import as_json
from stoa_cp.db.portions import PORTION, batched, read_in_portions
from stoa_cp.net.urls import DEFAULT_PORTS
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import TenantStatus

# The ids of the tenants that a gateway is bound to; None is all of them.
Tenants = Collection[str] | None


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
class Access:
    """A subscription that allows calls now. ``is_open`` is False while its API or its tenant is off."""

    id: str
    tenant_id: str
    api_id: str
    application: str
    plan: str
    rate_limit: int | None
    quota: int | None
    expires_at: str | None
    is_open: bool


def read_routes(tenants: Tenants = None) -> Iterator[Route]:
    """Yield the routes of all live APIs of live tenants, by tenant and within it the longest path first.

    That is an order in which to match: a path begins with its tenant's name, so that routes of two tenants never match
    the same call.
    """
    # The index api_by_length has this order.
    apis = Api.objects.live().annotate(shortness=Length("path") * -1)
    columns = (
        "id",
        "tenant_id",
        "path",
        "upstream_url",
        "sandbox_url",
        "auth_required",
        "requests_per_hour",
        "status",
        "tenant__name",
        "tenant__status",
        "tenant__deleted_at",
        "shortness",
    )
    for row in _rows(apis, tenants, columns, "shortness", "id"):
        if row["tenant__deleted_at"] is None:
            yield _route(row)


def _rows(rows: QuerySet[Any], tenants: Tenants, columns: Collection[str], *key: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of these tenants by tenant, then by ``key``.

    One tenant after the other: for "any of these tenants" PostgreSQL would sort all their rows for each portion, or
    read past the rows of all other tenants.
    """
    for of_tenant in [Q()] if tenants is None else [Q(tenant=tenant) for tenant in sorted(tenants)]:
        for portion in read_in_portions(rows.filter(of_tenant).values(*columns), "tenant_id", *key):
            yield from portion


def _route(api: dict[str, Any]) -> Route:
    tenant = api["tenant__name"]
    return Route(
        api_id=api["id"],
        tenant_id=api["tenant_id"],
        tenant=tenant,
        path=f"/{tenant}{api['path']}".rstrip("/"),
        upstream_url=api["upstream_url"],
        sandbox_url=api["sandbox_url"],
        auth_required=api["auth_required"],
        requests_per_hour=api["requests_per_hour"],
        # For a gateway that decides by itself, the API of a tenant that is not active is off, too.
        status=api["status"] if api["tenant__status"] == TenantStatus.ACTIVE else ApiStatus.INACTIVE,
    )


def read_subscriptions(tenants: Tenants = None) -> Iterator[Access]:
    """Yield the subscriptions that allow calls now."""
    # The index subscription_active has the rows of this status only.
    active = Subscription.objects.filter(status=SubscriptionStatus.ACTIVE).annotate(is_over=_is_over("expires_at"))
    columns = (
        "id",
        "tenant_id",
        "api_id",
        "application",
        "plan__slug",
        "rate_limit",
        "quota",
        "expires_at",
        "is_over",
        "api__status",
        "api__deleted_at",
        "tenant__status",
        "tenant__deleted_at",
    )
    for row in _rows(active, tenants, columns, "id"):
        # Here and not in the statement, which would read on until it has found a whole portion: past all subscriptions
        # of a deleted tenant, for one.
        if not row["is_over"] and row["api__deleted_at"] is None and row["tenant__deleted_at"] is None:
            yield _access(row)


def _access(row: dict[str, Any]) -> Access:
    return Access(
        id=row["id"],
        tenant_id=row["tenant_id"],
        api_id=row["api_id"],
        application=row["application"],
        plan=row["plan__slug"],
        rate_limit=row["rate_limit"],
        quota=row["quota"],
        expires_at=as_json(row["expires_at"]),
        is_open=row["api__status"] != ApiStatus.INACTIVE and row["tenant__status"] == TenantStatus.ACTIVE,
    )


def _is_over(field: str) -> "ExpressionWrapper[Any]":
    """Return whether the moment in ``field`` has come, on the database's clock; NULL, which is false, if it is NULL."""
    return ExpressionWrapper(Q((f"{field}__lte", Now())), output_field=BooleanField())


def read_keys(tenants: Tenants = None) -> Iterator[dict[str, Any]]:
    """Yield each secret with which a call may pass now, as the JSON document shows it."""
    # The index apikey_unrevoked_by_id has the rows of this state only.
    keys = ApiKey.objects.unrevoked().annotate(is_over=_is_over("expires_at"))
    columns = (
        "id",
        "tenant_id",
        "subscription_id",
        "mode",
        "expires_at",
        "allowed_ips",
        "allowed_methods",
        "allowed_paths",
        "is_over",
        "subscription__status",
    )
    usable = (
        row
        for row in _rows(keys, tenants, columns, "id")
        if not row["is_over"] and row["subscription__status"] == SubscriptionStatus.ACTIVE
    )
    for portion in batched(usable, PORTION):
        by_id = {row["id"]: row for row in portion}
        secrets = KeySecret.objects.valid().filter(key__in=by_id)
        for key_id, digest, valid_until in secrets.order_by("key", "id").values_list("key", "digest", "valid_until"):
            yield _key(by_id[key_id], bytes(digest), valid_until)


def _key(row: dict[str, Any], digest: bytes, valid_until: datetime | None) -> dict[str, Any]:
    return {
        "id": row["id"],
        "subscription_id": row["subscription_id"],
        "digest": digest.hex(),
        "mode": row["mode"],
        "expires_at": as_json(row["expires_at"]),
        "valid_until": as_json(valid_until),
        "allowed_ips": row["allowed_ips"],
        "allowed_methods": row["allowed_methods"],
        "allowed_paths": row["allowed_paths"],
    }
