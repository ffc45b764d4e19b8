"""The rows of webhooks: the webhook, its deliveries, and their attempts.

::

    webhook:   enabled ◄──► disabled                 delivery:   pending ──► delivered
                                                                  │  ▲ └───► failed
                                                                  └──┘
                                                          retry, redelivery
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Func, IntegerField, Q
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from stoa_cp.db.fields import VersionField
from stoa_cp.db.ids import IdField
from stoa_cp.eventlog.models import Event
from stoa_cp.net.urls import MAX_URL_LENGTH
from subscriptions.models import Subscription
from tenants.models import Tenant
from webhooks.event_types import patterns_matching


class WebhookStatus(models.TextChoices):
    """Whether a webhook receives anything."""

    ENABLED = "enabled", _("Enabled")
    DISABLED = "disabled", _("Disabled")


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Filters of webhooks."""

    def live(self) -> "WebhookQuerySet":
        return self.filter(deleted_at=None)

    def registered(self) -> "WebhookQuerySet":
        """Leave out the callbacks of subscriptions: the API shows them with their subscription only."""
        return self.live().filter(subscription=None)

    def enabled(self) -> "WebhookQuerySet":
        return self.live().filter(status=WebhookStatus.ENABLED)


class Webhook(models.Model):
    """A URL, the events that it receives, and the secrets that sign them (encrypted).

    With a ``subscription``, the row is the callback of that subscription. ``webhooks.delivery.callbacks`` keeps it
    up to date with ``callback_url``, and it is in no list of webhooks.
    """

    id = IdField(prefix="whk")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="webhooks")
    subscription = models.OneToOneField(
        Subscription, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="callback"
    )
    url = models.CharField("URL", max_length=MAX_URL_LENGTH)
    events = models.JSONField()
    description = models.CharField(max_length=500, blank=True)
    status = models.CharField(max_length=16, choices=WebhookStatus, default=WebhookStatus.ENABLED)
    disabled_reason = models.CharField(max_length=500, blank=True)
    secret = models.BinaryField()
    secret_hint = models.CharField(max_length=16, blank=True)
    secret_is_weak = models.BooleanField(default=False)
    previous_secret = models.BinaryField(null=True, blank=True)
    previous_secret_valid_until = models.DateTimeField(null=True, blank=True)
    # Failures since the last success. Workers write both with update(), so that ``version`` counts only the changes of
    # the owner: a failing receiver must not make an If-Match stale.
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    failure_count = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = VersionField()

    objects: ClassVar = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # For the list of a tenant's webhooks. Callbacks are left out: there may be one for each subscription.
            models.Index(
                fields=["tenant", "-created_at", "-id"],
                name="webhook_newest_first",
                condition=Q(deleted_at=None, subscription=None),
            ),
            # For the sweep of deleted webhooks.
            models.Index(fields=["deleted_at"], name="webhook_deleted", condition=Q(deleted_at__isnull=False)),
        ]
        constraints = [
            # For the foreign key of deliveries (migration 0002): a delivery and its webhook have the same tenant.
            models.UniqueConstraint(fields=["tenant", "id"], name="webhook_of_tenant"),
            models.CheckConstraint(condition=Q(status__in=WebhookStatus.values), name="webhook_status_known"),
            models.CheckConstraint(
                condition=Q(previous_secret=None, previous_secret_valid_until=None)
                | Q(previous_secret__isnull=False, previous_secret_valid_until__isnull=False),
                name="webhook_previous_secret_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return self.url

    def subscribes_to(self, event_type: str) -> bool:
        """Return True if the webhook receives events of this type."""
        return not set(patterns_matching(event_type)).isdisjoint(self.events)


# Deliveries are claimed by lanes (``webhooks.delivery.queue``): by hashes of their tenants, so that all deliveries of a
# tenant are in one lane. More lanes than workers that an installation starts; a power of two, because a lane is the
# last bits of the hash. Another number needs other indexes, and workers with both numbers exceed the bounds.
LANES = 16


def _lane() -> CombinedExpression:
    """Return the lane of a row.

    No column: to add one would rewrite the table, and an older release would not set it.
    """
    return Func(F("tenant_id"), function="hashtext", output_field=IntegerField()).bitand(LANES - 1)


class DeliveryStatus(models.TextChoices):
    """The state of a delivery. One that is being sent is still pending: a lease ends by itself, a state would not."""

    PENDING = "pending", _("Pending")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Filters of deliveries."""

    def pending(self) -> "DeliveryQuerySet":
        return self.filter(status=DeliveryStatus.PENDING)

    def leased(self) -> "DeliveryQuerySet":
        """Keep deliveries under a lease: a worker may be sending them now."""
        return self.filter(token__isnull=False, next_attempt_at__gt=Now())

    def not_leased(self) -> "DeliveryQuerySet":
        """Leave out deliveries under a lease."""
        return self.exclude(token__isnull=False, next_attempt_at__gt=Now())


class Delivery(models.Model):
    """One event for one webhook. The row is the job: Celery only announces it, and any worker may claim it.

    - ``body`` is stored, not rebuilt: every attempt sends the same bytes.
    - ``attempt`` counts the attempts that have begun. ``attempts_before`` is its value at the last redelivery, so that
      each redelivery has the whole schedule.
    - ``next_attempt_at`` is when the delivery is due. While a worker sends it, that is the end of the lease.
    - ``token`` is the fencing token of the lease: only the worker that has it may settle the delivery.
    """

    id = IdField(prefix="dlv")
    # No index on each foreign key: the queries begin with the webhook, for which there are the indexes below. An index
    # that no query uses would cost a write for each delivery.
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    body = models.TextField()
    status = models.CharField(max_length=16, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempt = models.PositiveSmallIntegerField(default=0)
    attempts_before = models.PositiveSmallIntegerField(default=0)
    # The database's clock decides what is due, because the clocks of workers differ.
    next_attempt_at = models.DateTimeField(null=True, db_default=Now())
    token = models.UUIDField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("deliveries")
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["webhook", "-created_at", "-id"], name="delivery_newest_first"),
            # For the claim. Partial: they have only rows that are pending or in flight, however many were delivered.
            models.Index(fields=["webhook", "next_attempt_at"], name="delivery_due", condition=Q(status="pending")),
            models.Index(fields=["webhook"], name="delivery_in_flight", condition=Q(token__isnull=False)),
            models.Index(_lane(), "next_attempt_at", name="delivery_due_in_lane", condition=Q(status="pending")),
            models.Index(_lane(), "webhook", name="delivery_webhooks_in_lane", condition=Q(status="pending")),
            # Of all webhooks: for the console, and for the sweep of old deliveries. The second is for the console's
            # filter by status, which would otherwise read all that was delivered since the last failure.
            models.Index(fields=["-created_at", "-id"], name="delivery_of_all_newest_first"),
            models.Index(
                fields=["status", "-created_at", "-id"],
                name="delivery_not_delivered",
                condition=~Q(status="delivered"),
            ),
        ]
        constraints = [
            # A fan-out that runs twice, and a replay beside it, add nothing.
            models.UniqueConstraint(fields=["webhook", "event"], name="delivery_once_per_event"),
            models.CheckConstraint(condition=Q(status__in=DeliveryStatus.values), name="delivery_status_known"),
            models.CheckConstraint(
                condition=Q(status=DeliveryStatus.PENDING, next_attempt_at__isnull=False)
                | (~Q(status=DeliveryStatus.PENDING) & Q(next_attempt_at=None, token=None)),
                name="delivery_pending_has_a_date",
            ),
        ]


class Replay(models.Model):
    """A replay that is under way: workers write its deliveries in portions. The row is deleted at its end.

    ``next_sequence`` and ``last_sequence`` are the part of the tenant's event log that is left.
    """

    # One at a time for a webhook. Its owner could otherwise store any number, and other replays would wait for them.
    webhook = models.OneToOneField(Webhook, on_delete=models.CASCADE, primary_key=True, related_name="replay")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="replays", db_index=False)
    since = models.DateTimeField()
    until = models.DateTimeField()
    next_sequence = models.BigIntegerField()
    last_sequence = models.BigIntegerField()
    # When its last portion was written. The one that has waited longest is next.
    continued_at = models.DateTimeField(db_default=Now())


class Failure(models.TextChoices):
    """Why an attempt failed."""

    BLOCKED_ADDRESS = "blocked_address", _("Forbidden address")
    CONNECT_FAILED = "connect_failed", _("No connection")
    TLS_ERROR = "tls_error", _("TLS error")
    TIMEOUT = "timeout", _("Too slow")
    HTTP_ERROR = "http_error", _("Not a 2xx answer")


class Attempt(models.Model):
    """The result of sending a delivery once. ``error`` is empty for a success."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveSmallIntegerField()
    attempted_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    response_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=16, choices=Failure, blank=True)
    response_excerpt = models.TextField(blank=True)

    class Meta:
        ordering = ["delivery", "number"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_numbered")]
