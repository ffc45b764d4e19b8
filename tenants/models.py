"""A tenant, its tier and its status.

::

    provisioning ──► active ◄──► suspended
         └──────────────┴─────────────┴──► deleted
"""

from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from stoa_cp.db.fields import VersionField
from stoa_cp.db.ids import IdField

# A DNS label (RFC 1123 §2.1), at most 63 characters: the name is part of the gateway's URL.
NAME_PATTERN = r"[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]"

# The paths of the service itself (admin, v1), and names that a reader of a URL could take for a part of the service or
# for its operator (www, support).
RESERVED_NAMES = frozenset(
    {
        "about", "account", "accounts", "admin", "api", "apis", "assets", "auth", "billing", "console", "dashboard",
        "docs", "gateway", "gateways", "health", "healthz", "help", "internal", "localhost", "login", "logout", "mail",
        "metrics", "oauth", "openapi", "operator", "platform", "public", "readyz", "redoc", "root", "static", "status",
        "stoa", "support", "system", "tenant", "tenants", "test", "v1", "v2", "webhooks", "www",
    }
)  # fmt: skip


class Tier(models.TextChoices):
    """What a tenant pays for. It sets the rate limit of its calls to the control plane's own API."""

    FREE = "free", _("Free")
    STARTER = "starter", _("Starter")
    BUSINESS = "business", _("Business")
    ENTERPRISE = "enterprise", _("Enterprise")


# From the specification's section on rate limits. For "enterprise" it says "custom": rate_limit_per_hour, else 100,000.
CALLS_PER_HOUR = {Tier.FREE: 100, Tier.STARTER: 1_000, Tier.BUSINESS: 10_000, Tier.ENTERPRISE: 100_000}


# What the platform may set for one tenant. Times the lowest, a free tenant has 10 calls an hour; times the highest, as
# many as a business tenant.
MIN_MULTIPLIER, MAX_MULTIPLIER = 0.1, 100
MAX_CALLS_PER_HOUR = 10_000_000


class TenantStatus(models.TextChoices):
    """The status of a tenant; see the diagram above."""

    PROVISIONING = "provisioning", _("Provisioning")
    ACTIVE = "active", _("Active")
    SUSPENDED = "suspended", _("Suspended")
    DELETED = "deleted", _("Deleted")


class TenantQuerySet(models.QuerySet["Tenant"]):
    """Filters of tenants."""

    def live(self) -> "TenantQuerySet":
        return self.filter(deleted_at=None)

    def named(self, id_or_name: str) -> "TenantQuerySet":
        """Filter by id or name, as paths and tokens hold either. Never ambiguous: no name begins with ``ten-``."""
        return self.filter(Q(id=id_or_name) | Q(name=id_or_name))


class Tenant(models.Model):
    """An organisation that registers APIs and lets applications subscribe to them."""

    id = IdField(prefix="ten")
    name = models.CharField(max_length=63, validators=[RegexValidator(rf"^{NAME_PATTERN}\Z")])
    tier = models.CharField(max_length=16, choices=Tier)
    status = models.CharField(max_length=16, choices=TenantStatus, default=TenantStatus.PROVISIONING)
    status_reason = models.CharField(max_length=500, blank=True)
    admin_email = models.EmailField()
    region = models.CharField(max_length=32)
    rate_limit_multiplier = models.FloatField(default=1.0)
    rate_limit_per_hour = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = VersionField()

    objects: ClassVar = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="tenant_newest_first", condition=Q(deleted_at=None)),
            # For the sweep that sets tenants up every few seconds: nearly always this index is empty.
            models.Index(fields=["status"], name="tenant_provisioning", condition=Q(status="provisioning")),
        ]
        constraints = [
            # Of live tenants only: deletion is soft. The service keeps the name back for a while.
            models.UniqueConstraint(fields=["name"], condition=Q(deleted_at=None), name="tenant_name_unique"),
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="tenant_tier_known"),
            models.CheckConstraint(condition=Q(status__in=TenantStatus.values), name="tenant_status_known"),
            models.CheckConstraint(
                condition=Q(rate_limit_multiplier__gte=MIN_MULTIPLIER, rate_limit_multiplier__lte=MAX_MULTIPLIER),
                name="tenant_multiplier_in_range",
            ),
            models.CheckConstraint(
                condition=Q(status=TenantStatus.DELETED, deleted_at__isnull=False)
                | (~Q(status=TenantStatus.DELETED) & Q(deleted_at=None)),
                name="tenant_deleted_has_a_date",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def gateway_url(self) -> str:
        return f"{settings.STOA_GATEWAY_URL.rstrip('/')}/{self.name}"

    @property
    def calls_per_hour(self) -> int:
        """The calls to the control plane's API that all tokens of this tenant together may make in an hour."""
        limit = CALLS_PER_HOUR[Tier(self.tier)]
        if self.tier == Tier.ENTERPRISE and self.rate_limit_per_hour is not None:
            limit = self.rate_limit_per_hour
        return int(limit * self.rate_limit_multiplier)
