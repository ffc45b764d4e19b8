"""The obvious rows: a counter for each subscription and window, a record for each call, a delivery for each task."""

from django.db import models

from catalog.models import Api
from subscriptions.models import Subscription
from tenants.models import Tenant


class Usage(models.Model):
    """What a subscription called in one window."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="+")
    window = models.CharField(max_length=16)
    calls = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "naive"
        unique_together = [("subscription", "window")]


class Batch(models.Model):
    """The obvious ledger: a batch is counted once, because its name is unique."""

    batch_id = models.CharField(max_length=255, unique=True)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "naive"


class Record(models.Model):
    """A call, as it was reported."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    api = models.ForeignKey(Api, on_delete=models.CASCADE, related_name="+")
    subscription = models.ForeignKey(Subscription, null=True, on_delete=models.CASCADE, related_name="+")
    timestamp = models.DateTimeField()
    status = models.PositiveSmallIntegerField()
    latency_ms = models.FloatField()

    class Meta:
        app_label = "naive"
        indexes = [models.Index(fields=["tenant", "timestamp"], name="record_of_tenant")]


class Delivery(models.Model):
    """What a task sends, and what came of it."""

    url = models.CharField(max_length=2048)
    secret = models.CharField(max_length=100)
    event_id = models.CharField(max_length=50)
    body = models.TextField()
    status = models.CharField(max_length=16, default="pending")
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "naive"


class Attempt(models.Model):
    """What came of sending a delivery once; ours is kept as well."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    attempted_at = models.DateTimeField()
    response_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=500)

    class Meta:
        app_label = "naive"
