"""An API key, its one or two valid secrets, and the meters that count calls.

::

    active ──rotate──► rotating ──overlap ends──► active
       └───────────────────┴──► expired | revoked

The status is not stored: it follows from the dates, on the database's clock, and from the end of the subscription.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, F, OuterRef, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from stoa_cp.crypto.credentials import FINGERPRINT_LENGTH
from stoa_cp.db.fields import NetworkField, VersionField
from stoa_cp.db.ids import IdField
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import Tenant


class Mode(models.TextChoices):
    """Where a key leads: to the API's upstream, or to its sandbox. Each mode has meters of its own."""

    LIVE = "live", _("Live")
    TEST = "test", _("Test")


class KeyStatus(models.TextChoices):
    """The state of a key, computed from its dates; see the diagram above."""

    ACTIVE = "active", _("Active")
    ROTATING = "rotating", _("Rotating")
    EXPIRED = "expired", _("Expired")
    REVOKED = "revoked", _("Revoked")


# Of each kind. Every call with the key is compared with all of them.
MAX_RESTRICTIONS = 50

# The statuses in which calls with the key may pass.
LIVE_STATUSES = (KeyStatus.ACTIVE, KeyStatus.ROTATING)


# Keys whose expiry was not announced yet. Queries that the index apikey_to_announce is to answer repeat this.
TO_ANNOUNCE = Q(revoked_at=None) & (Q(announced_days=None) | Q(announced_days__gt=0))


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Filters and annotations of keys."""

    def with_status(self) -> "ApiKeyQuerySet":
        """Add ``status``, ``last_used_at``, ``leaked_at``, ``previous_valid_until`` and ``previous_last_used_at``.

        ``leaked_at`` is of a secret that is still valid; ``previous_`` stands for the old secret of a rotation.
        The status is computed here and not stored, so that no task has to write it at the moment of an expiry.
        """
        # Subqueries of one row each, which PostgreSQL runs for the rows of a page only. An EXISTS in their place may
        # become a hash table of all secrets: a page of a large tenant then read 485,000 rows.
        old = KeySecret.objects.filter(key=OuterRef("pk"), valid_until__gt=Now())
        is_revoked = Q(revoked_at__isnull=False) | Q(subscription__status=SubscriptionStatus.REVOKED)
        is_expired = Q(expires_at__lte=Now()) | Q(subscription__expires_at__lte=Now())
        return self.annotate(
            previous_valid_until=old.values("valid_until")[:1],
            status=Case(
                When(is_revoked, then=Value(KeyStatus.REVOKED)),
                When(is_expired, then=Value(KeyStatus.EXPIRED)),
                When(previous_valid_until__isnull=False, then=Value(KeyStatus.ROTATING)),
                default=Value(KeyStatus.ACTIVE),
                output_field=models.CharField(choices=KeyStatus.choices),
            ),
            leaked_at=KeySecret.objects.valid()
            .filter(key=OuterRef("pk"), leaked_at__isnull=False)
            .order_by("-leaked_at")
            .values("leaked_at")[:1],
            previous_last_used_at=old.values("last_used_at")[:1],
            last_used_at=KeySecret.objects.filter(key=OuterRef("pk"))
            .order_by(F("last_used_at").desc(nulls_last=True))
            .values("last_used_at")[:1],
        )

    def unrevoked(self) -> "ApiKeyQuerySet":
        return self.filter(revoked_at=None)


class ApiKey(models.Model):
    """The credential of an application. ``start`` is the readable start of its newest secret."""

    id = IdField(prefix="key")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="api_keys")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.LIVE)
    start = models.CharField(max_length=20)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Where the key may be used; NULL is anywhere. Paths are prefixes below the API's path, by whole segments.
    allowed_ips = ArrayField(NetworkField(), null=True, blank=True, editable=False)
    allowed_methods = ArrayField(models.TextField(), null=True, blank=True, editable=False)
    allowed_paths = ArrayField(models.TextField(), null=True, blank=True, editable=False)
    # The last warning that was announced, in days before the expiry; 0 once the expiry itself was announced.
    announced_days = models.PositiveSmallIntegerField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    version = VersionField()

    objects: ClassVar = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="apikey_newest_first"),
            # Counts a tenant's keys that are not revoked, which are bounded; and reads them in portions, for gateways.
            models.Index(fields=["tenant", "id"], name="apikey_unrevoked_by_id", condition=Q(revoked_at=None)),
            # A tenant's expired keys, and its revoked ones.
            models.Index(
                fields=["tenant", "expires_at"], name="apikey_of_tenant_expiring", condition=Q(expires_at__isnull=False)
            ),
            models.Index(fields=["tenant"], name="apikey_revoked", condition=Q(revoked_at__isnull=False)),
            # For the console: the newest of all tenants, and a key by the start of its secret.
            models.Index(fields=["-created_at", "-id"], name="apikey_of_all_newest_first"),
            models.Index(fields=["start"], name="apikey_by_start", opclasses=["varchar_pattern_ops"]),
            # For the sweep that announces expiries, every minute. Without those that were announced: it would read all
            # keys that have ever expired.
            models.Index(
                fields=["expires_at"], name="apikey_to_announce", condition=TO_ANNOUNCE & Q(expires_at__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="apikey_mode_known"),
            # An empty list would read as "anywhere" to a person, and be "nowhere" to the decision.
            models.CheckConstraint(
                condition=Q(allowed_ips__len__range=(1, MAX_RESTRICTIONS))
                & Q(allowed_methods__len__range=(1, MAX_RESTRICTIONS))
                & Q(allowed_paths__len__range=(1, MAX_RESTRICTIONS)),
                name="apikey_restrictions_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.start})"


class KeySecretQuerySet(models.QuerySet["KeySecret"]):
    """Filters of secrets."""

    def valid(self) -> "KeySecretQuerySet":
        """Leave out the secrets that a rotation has ended."""
        return self.filter(Q(valid_until=None) | Q(valid_until__gt=Now()))


class KeySecret(models.Model):
    """A secret of a key, stored as its digest. The one without ``valid_until`` is the current one."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="secrets")
    digest = models.BinaryField(max_length=32, unique=True)
    # The fingerprint of the pepper that the digest needs; null is unknown: a secret that an older release has stored,
    # and that has not been used since. No index: a command counts it, and the column is written with each use.
    pepper = models.CharField(max_length=FINGERPRINT_LENGTH, null=True, editable=False)
    valid_until = models.DateTimeField(null=True, blank=True)
    # Written once a minute at most. No index holds it, so that PostgreSQL can update the row without writing to any
    # index (a HOT update).
    last_used_at = models.DateTimeField(null=True, blank=True)
    leaked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar = KeySecretQuerySet.as_manager()

    class Meta:
        indexes = [
            # The old secrets of rotations: few of them are still valid.
            models.Index(fields=["valid_until"], name="secret_of_rotation", condition=Q(valid_until__isnull=False)),
        ]
        constraints = [
            # Rotations wait for each other at the key's lock; here the database guarantees what that achieves.
            models.UniqueConstraint(fields=["key"], condition=Q(valid_until=None), name="one_current_secret_per_key"),
        ]


class LeaseState(models.TextChoices):
    """Whether processes hold tokens: calls that the meter has counted before they are made.

    ``none ──► out ──► recalled ──► none``. ``recalled``: a process ran out of tokens and asked the others to return
    theirs. New leases are still granted, in smaller blocks.
    """

    NONE = "none", _("None")
    LEASED = "out", _("Out")
    RECALLED = "recalled", _("Recalled")


# In place of "sub-", as an id fills the column. Test calls count on no API: they must not use up its ceiling.
TEST_METER_PREFIX = "tst-"


class Meter(models.Model):
    """How many calls passed in one hour and in one calendar month (UTC), of a subscription or of an API as a whole.

    A row whose hour or month is over counts as zero: no task resets it. The table is logged, unlike the counters of the
    control plane's own rate limit, because a month's count must survive a crash.
    """

    # The id of a subscription or of an API: one table, so that one statement counts both or neither. Of the calls with
    # test keys, the id of the subscription with TEST_METER_PREFIX.
    subject = models.CharField(max_length=20, db_collation="C", primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    hour = models.DateTimeField()
    hour_calls = models.PositiveBigIntegerField(_("calls this hour"), default=0)
    month = models.DateTimeField()
    month_calls = models.PositiveBigIntegerField(_("calls this month"), default=0)
    # The largest share of this month's quota that was announced as used, in percent: 0, 80 or 100.
    announced_percent = models.PositiveSmallIntegerField(default=0, editable=False)
    # The column and its values keep their first names: an older release runs beside this one during an upgrade.
    leases = models.CharField(
        max_length=8,
        db_column="loans",
        choices=LeaseState,
        default=LeaseState.NONE,
        db_default=LeaseState.NONE,
        editable=False,
    )
    # Tokens leased before the reset are not returned: the reset has set the count to zero without them.
    reset_at = models.DateTimeField(_("last reset"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("meter")
        ordering = ["subject"]

    def __str__(self) -> str:
        return self.subject

    @property
    def mode(self) -> Mode:
        return Mode.TEST if self.subject.startswith(TEST_METER_PREFIX) else Mode.LIVE
