"""Plans, and the subscriptions under them.

::

    pending_approval ──► active ◄──► suspended
        │    │             │  │          │
        │    └► rejected   │  └► expired │
        └──────────────────┴─────────────┴──► revoked

What must hold whatever the code does is a constraint of the database. Services turn its violation into a refusal.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from catalog.models import Api
from stoa_cp.db.fields import VersionField
from stoa_cp.db.ids import IdField
from tenants.models import Tenant


class Approval(models.TextChoices):
    """Who approves a request: a person, or the plan itself."""

    MANUAL = "manual", _("Manual")
    AUTOMATIC = "automatic", _("Automatic")


class PlanQuerySet(models.QuerySet["Plan"]):
    """Filters of plans."""

    def live(self) -> "PlanQuerySet":
        return self.filter(deleted_at=None)


class Plan(models.Model):
    """The terms that a tenant offers: requests per hour, and per calendar month (UTC). Null is unlimited."""

    id = IdField(prefix="pln")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="plans")
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=100)
    rate_limit = models.PositiveIntegerField(_("requests per hour"), null=True, blank=True)
    quota = models.PositiveBigIntegerField(_("requests per month"), null=True, blank=True)
    approval = models.CharField(max_length=16, choices=Approval, default=Approval.MANUAL)
    # The actor that set the limits and the approval last: see ``services.second_approver``. "" is unknown: a row of an
    # older release.
    terms_set_by = models.CharField(max_length=255, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = VersionField()

    objects: ClassVar = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            # The target of the foreign key (tenant, plan), which a migration adds in SQL because Django has none of two
            # columns. With it no subscription can be under another tenant's plan.
            models.UniqueConstraint(fields=["tenant", "id"], name="plan_of_tenant"),
            # Of live plans only: deletion is soft, and a deleted plan's slug is free again at once.
            models.UniqueConstraint(fields=["tenant", "slug"], condition=Q(deleted_at=None), name="plan_slug_unique"),
            models.CheckConstraint(condition=Q(approval__in=Approval.values), name="plan_approval_known"),
        ]

    def __str__(self) -> str:
        return self.name


class SubscriptionStatus(models.TextChoices):
    """The status of a subscription; see the diagram above."""

    PENDING_APPROVAL = "pending_approval", _("Pending approval")
    ACTIVE = "active", _("Active")
    SUSPENDED = "suspended", _("Suspended")
    REJECTED = "rejected", _("Rejected")
    REVOKED = "revoked", _("Revoked")
    EXPIRED = "expired", _("Expired")


# The statuses that can still change; the other three are final.
LIVE_STATUSES = (SubscriptionStatus.PENDING_APPROVAL, SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED)


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Filters of subscriptions."""

    def live(self) -> "SubscriptionQuerySet":
        return self.filter(status__in=LIVE_STATUSES)

    def pending(self) -> "SubscriptionQuerySet":
        return self.filter(status=SubscriptionStatus.PENDING_APPROVAL)


class Subscription(models.Model):
    """An application's right to call an API, within the terms that its approver set."""

    id = IdField(prefix="sub")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="subscriptions")
    api = models.ForeignKey(Api, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    application = models.CharField(max_length=100)
    status = models.CharField(max_length=20, choices=SubscriptionStatus, default=SubscriptionStatus.PENDING_APPROVAL)
    status_reason = models.CharField(max_length=500, blank=True)
    callback_url = models.CharField(max_length=2048, null=True, blank=True)
    # Encrypted, because callbacks are signed with it. It outlives a callback URL that is removed.
    callback_secret = models.BinaryField(null=True, blank=True)
    # The terms: copied from the plan when access is asked for, so that an approver grants what is shown. Null is
    # unlimited.
    rate_limit = models.PositiveIntegerField(_("requests per hour"), null=True, blank=True)
    quota = models.PositiveBigIntegerField(_("requests per month"), null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=255)
    decided_by = models.CharField(max_length=255, null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    version = VersionField()

    objects: ClassVar = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="subscription_newest_first"),
            # Counts a tenant's live ones, which are bounded.
            models.Index(fields=["tenant"], name="subscription_live", condition=Q(status__in=LIVE_STATUSES)),
            # A tenant's expired and revoked ones, whose keys have that status.
            models.Index(
                fields=["tenant", "expires_at"],
                name="subscription_of_tenant_expires",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=["tenant"], name="subscription_revoked", condition=Q(status=SubscriptionStatus.REVOKED)
            ),
            # For the console: the newest of all tenants, of any or of one status, and by application.
            models.Index(fields=["-created_at", "-id"], name="subscription_of_all_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="subscription_by_status"),
            models.Index(fields=["application"], name="subscription_by_application"),
            # Reads those that allow calls in portions, for gateways.
            models.Index(
                fields=["tenant", "id"], name="subscription_active", condition=Q(status=SubscriptionStatus.ACTIVE)
            ),
            # For the sweep that ends subscriptions. Only an active one expires.
            models.Index(
                fields=["expires_at"], name="subscription_expiring", condition=Q(status=SubscriptionStatus.ACTIVE)
            ),
        ]
        constraints = [
            # As for plans: with it no key can be for another tenant's subscription.
            models.UniqueConstraint(fields=["tenant", "id"], name="subscription_of_tenant"),
            # Of live ones only: an application may ask again after a rejection, a revocation or an expiry.
            models.UniqueConstraint(
                fields=["api", "application"],
                condition=Q(status__in=LIVE_STATUSES),
                name="subscription_application_unique",
            ),
            models.CheckConstraint(condition=Q(status__in=SubscriptionStatus.values), name="subscription_status_known"),
            # A pending request can be revoked without a decision.
            models.CheckConstraint(
                condition=Q(decided_at__isnull=False)
                | Q(status__in=[SubscriptionStatus.PENDING_APPROVAL, SubscriptionStatus.REVOKED]),
                name="subscription_decision_has_a_date",
            ),
            models.CheckConstraint(
                condition=Q(expires_at=None) | Q(expires_at__gt=F("created_at")), name="subscription_expires_later"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application} → {self.api_id}"

    @property
    def is_live(self) -> bool:
        return self.status in LIVE_STATUSES
