"""What is asked of keys by other rooms."""

from django.db.models import OuterRef, Subquery

from apikeys.models import LIVE_STATUSES, ApiKey


def newest_live_start() -> Subquery:
    """Return, for a query on subscriptions, the masked start of each one's newest live key."""
    keys = ApiKey.objects.with_status().filter(subscription=OuterRef("pk"))
    keys = keys.filter(status__in=LIVE_STATUSES)  # type: ignore[misc]  # the plugin does not see the annotation
    return Subquery(keys.order_by("-created_at", "-id").values("start")[:1])
