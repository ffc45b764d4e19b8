"""The obvious counter: a row for each subscription and window."""

from django.db import models

from subscriptions.models import Subscription


class Usage(models.Model):
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="+")
    window = models.CharField(max_length=16)
    calls = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "naive"
        unique_together = [("subscription", "window")]
