"""The APIs that tenants offer, and the gateways that carry calls to them.

::

    active ◄──► inactive
       └──► deprecated ──► (sunset_at)
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length, Now
from django.utils.translation import gettext_lazy as _

from stoa_cp.crypto.credentials import FINGERPRINT_LENGTH
from stoa_cp.db.fields import VersionField
from stoa_cp.db.ids import LENGTH, IdField
from stoa_cp.net.cidrs import MAX_CIDR_LENGTH
from tenants.models import Tenant


class ApiStatus(models.TextChoices):
    """Whether calls to an API pass. Those to a deprecated one do, and the answers have warning headers (RFC 9745)."""

    ACTIVE = "active", _("Active")
    INACTIVE = "inactive", _("Inactive")
    DEPRECATED = "deprecated", _("Deprecated")


# The URLs to which gateways send calls.
UPSTREAM_FIELDS = ("upstream_url", "sandbox_url")


class ApiQuerySet(models.QuerySet["Api"]):
    """Filters of APIs."""

    def live(self) -> "ApiQuerySet":
        return self.filter(deleted_at=None)

    def named(self, id_or_name: str) -> "ApiQuerySet":
        """Filter by id or name. Several versions of an API may share a name."""
        return self.filter(Q(id=id_or_name) | Q(name=id_or_name))


class Api(models.Model):
    """An HTTP API behind the gateway, at ``<gateway>/<tenant name><path>``."""

    id = IdField(prefix="api")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="apis")
    name = models.CharField(max_length=100)
    description = models.TextField(max_length=2000, blank=True)
    upstream_url = models.CharField(max_length=2048)
    sandbox_url = models.CharField(max_length=2048, null=True, blank=True)  # where test keys go; null: nowhere
    # Since when one of the two URLs has led to a forbidden address. Calls are refused until it is null again.
    upstream_refused_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When the two URLs are resolved again. The database's default: a release that has no such column inserts rows too.
    upstream_check_due_at = models.DateTimeField(db_default=Now(), editable=False)
    path = models.CharField(max_length=200)
    api_version = models.CharField(_("version"), max_length=32, default="v1")
    auth_required = models.BooleanField(default=True)
    requests_per_hour = models.PositiveIntegerField(null=True, blank=True)
    openapi_url = models.CharField(max_length=2048, blank=True)
    status = models.CharField(max_length=16, choices=ApiStatus, default=ApiStatus.ACTIVE)
    deprecated_at = models.DateTimeField(null=True, blank=True)
    sunset_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = VersionField()

    objects: ClassVar = ApiQuerySet.as_manager()

    class Meta:
        verbose_name = "API"
        verbose_name_plural = "APIs"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(
                fields=["tenant", "-created_at", "-id"], name="api_newest_first", condition=Q(deleted_at=None)
            ),
            # For the console: the newest of all tenants, and those of a name.
            models.Index(fields=["-created_at", "-id"], name="api_of_all_newest_first"),
            models.Index(fields=["name"], name="api_by_name"),
            # Reads a tenant's APIs in portions, the longest path first: the order in which gateways match. Negative,
            # because PostgreSQL continues a portion by an index only if all its columns ascend.
            models.Index(F("tenant"), Length("path") * -1, F("id"), name="api_by_length", condition=Q(deleted_at=None)),
            models.Index(fields=["upstream_check_due_at"], name="api_check_due", condition=Q(deleted_at=None)),
        ]
        constraints = [
            # The target of the foreign key (tenant, api), which a migration adds in SQL because Django has none of two
            # columns. With it no subscription can be to another tenant's API.
            models.UniqueConstraint(fields=["tenant", "id"], name="api_of_tenant"),
            # Of live APIs only: deletion is soft, and frees the name and the path at once.
            models.UniqueConstraint(
                fields=["tenant", "name", "api_version"], condition=Q(deleted_at=None), name="api_name_unique"
            ),
            models.UniqueConstraint(fields=["tenant", "path"], condition=Q(deleted_at=None), name="api_path_unique"),
            models.CheckConstraint(condition=Q(status__in=ApiStatus.values), name="api_status_known"),
            models.CheckConstraint(condition=Q(path__startswith="/"), name="api_path_is_absolute"),
            models.CheckConstraint(
                condition=Q(status=ApiStatus.DEPRECATED, deprecated_at__isnull=False)
                | (~Q(status=ApiStatus.DEPRECATED) & Q(deprecated_at=None, sunset_at=None)),
                name="api_deprecated_has_a_date",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tenant.name}/{self.name}"

    @property
    def public_url(self) -> str:
        return f"{self.tenant.gateway_url}{self.path}"


class GatewayQuerySet(models.QuerySet["Gateway"]):
    """Filters of gateways."""

    def live(self) -> "GatewayQuerySet":
        return self.filter(deleted_at=None)


class Gateway(models.Model):
    """A proxy that queries this service about each call. It authenticates with a token, which is stored as its digest.

    A token that has leaked is worth less if it is accepted from ``allowed_ips`` only (networks in CIDR notation; null:
    from anywhere), and for calls to the APIs of ``tenants`` only (ids; null: of all).
    """

    id = IdField(prefix="gtw")
    name = models.CharField(max_length=63)
    token_digest = models.BinaryField(max_length=32, unique=True)
    # The fingerprint of the pepper that the digest needs; null is unknown, until the token is used.
    token_pepper = models.CharField(max_length=FINGERPRINT_LENGTH, null=True, editable=False)
    allowed_ips = ArrayField(models.CharField(max_length=MAX_CIDR_LENGTH), null=True, blank=True)
    # No foreign keys: PostgreSQL has none for the members of an array. An id is never given to another tenant, so that
    # the id of a deleted one matches nothing.
    tenants = ArrayField(models.CharField(max_length=LENGTH), null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = VersionField()

    objects: ClassVar = GatewayQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(deleted_at=None), name="gateway_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name
