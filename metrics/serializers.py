"""The query string of a metrics request, and the JSON of traffic, metrics and usage.

The docstrings of serializers are descriptions in the OpenAPI document.
"""

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from apikeys.gateway.serializers import HourlyLimitSerializer, MonthlyQuotaSerializer
from apikeys.models import Mode
from metrics import examples as sample
from metrics.histograms.sketch import MAX_LATENCY_MS
from metrics.ingest.batches import MAX_RECORDS
from metrics.ingest.records import HIGHEST_STATUS, LOWEST_STATUS, MAX_AGE, MAX_AHEAD
from metrics.queries import GroupBy
from metrics.reporting.date_ranges import GRANULARITIES
from metrics.reporting.usage import usage_of
from stoa_cp.openapi.schema import examples
from stoa_cp.rest.serializers import MomentField, StrictSerializer
from subscriptions.models import Subscription, SubscriptionStatus


class MetricsQuerySerializer(StrictSerializer):
    """The query string of a metrics request."""

    start_date = serializers.DateField(required=False, help_text="The first day, UTC. Missing: 30 days to end_date.")
    end_date = serializers.DateField(required=False, help_text="The last day, UTC, inclusive. Missing: today.")
    granularity = serializers.ChoiceField(
        choices=list(GRANULARITIES),
        default="day",
        help_text="minute covers at most {minute} days, hour {hour}, day {day}, week and month {week:,}.".format(
            **{name: granularity.max_days for name, granularity in GRANULARITIES.items()}
        ),
    )
    group_by = serializers.ChoiceField(choices=GroupBy.values, required=False, help_text="One line for each of these.")
    fill = serializers.BooleanField(default=False, help_text="Also lines without requests.")
    mode = serializers.ChoiceField(
        choices=Mode.values, default=Mode.LIVE.value, help_text="Calls with keys of this mode."
    )


class CountsSerializer(serializers.Serializer[Any]):
    """Requests, and how long they took. Latencies are whole milliseconds, null without requests."""

    requests = serializers.IntegerField()
    # The specification's name; DRF's own `errors` is about validation, and nothing is validated here.
    errors = serializers.IntegerField(help_text="Statuses from 500.")  # type: ignore[assignment]
    p50_latency_ms = serializers.IntegerField(allow_null=True)
    p95_latency_ms = serializers.IntegerField(allow_null=True)
    p99_latency_ms = serializers.IntegerField(allow_null=True)


class MetricsLineSerializer(CountsSerializer):
    """One bucket of time, and of a group where one was asked for."""

    date = serializers.CharField(help_text="A date; for minute and hour a time.")
    api_id = serializers.CharField(required=False, help_text="With group_by=api.")
    subscription_id = serializers.CharField(
        required=False, allow_null=True, help_text="With group_by=subscription; null for calls without a key."
    )
    status = serializers.CharField(required=False, help_text="With group_by=status: 2xx, 4xx and so on.")


class MetricsSerializer(serializers.Serializer[Any]):
    """An answer about traffic."""

    metrics = MetricsLineSerializer(many=True)
    granularity = serializers.ChoiceField(choices=list(GRANULARITIES))
    start_date = serializers.DateField()
    end_date = serializers.DateField()
    totals = CountsSerializer()
    percentile_relative_error = serializers.FloatField()


class PeriodSerializer(serializers.Serializer[Any]):
    """A calendar month, UTC; both dates are inclusive."""

    start = serializers.DateField()
    end = serializers.DateField()


@examples(response=sample.USAGE)
class UsageSerializer(serializers.Serializer[Any]):
    """What a subscription has used of what it may use."""

    subscription_id = serializers.CharField(source="subscription.id")
    period = PeriodSerializer()
    requests = serializers.IntegerField(help_text="In the period.")
    # As above: the specification's name.
    errors = serializers.IntegerField(help_text="In the period: statuses from 500.")  # type: ignore[assignment]
    rate_limit = HourlyLimitSerializer()
    quota = MonthlyQuotaSerializer()
    last_request_at = MomentField(allow_null=True)

    def to_representation(self, instance: Subscription) -> dict[str, Any]:
        return super().to_representation(usage_of(instance))


@examples(response=sample.TENANT_USAGE)
class TenantUsageSerializer(UsageSerializer):
    """The same in a list of a tenant's subscriptions, where it says whose it is."""

    application = serializers.CharField(source="subscription.application")
    api_id = serializers.CharField(source="subscription.api_id")
    plan = serializers.CharField(source="subscription.plan.slug")
    status = serializers.ChoiceField(choices=SubscriptionStatus.choices, source="subscription.status")


# The next four describe traffic in the OpenAPI document. They neither parse nor render it: a serializer takes longer
# than counting the records (`bulk_create` behind one: 35,500 records/s, ours 896,000).
class RecordSerializer(serializers.Serializer[Any]):
    """One request that a gateway let through."""

    timestamp = serializers.DateTimeField(
        help_text=f"RFC 3339; at most {MAX_AGE // timedelta(hours=1)} hours old,"
        f" at most {MAX_AHEAD // timedelta(minutes=1)} minutes ahead."
    )
    api_id = serializers.CharField()
    subscription_id = serializers.CharField(required=False, allow_null=True, help_text="Null for a call without a key.")
    status = serializers.IntegerField(min_value=LOWEST_STATUS, max_value=HIGHEST_STATUS)
    latency_ms = serializers.FloatField(min_value=0, max_value=MAX_LATENCY_MS)
    bytes = serializers.IntegerField(required=False, min_value=0, help_text="Checked, not stored.")
    mode = serializers.ChoiceField(
        choices=Mode.values, required=False, help_text="X-Stoa-Mode of the decision. Missing: live."
    )


class BatchSerializer(serializers.Serializer[Any]):
    """What a gateway reports at once."""

    batch_id = serializers.CharField(max_length=255, help_text="Chosen by the gateway; visible ASCII.")
    records = serializers.ListField(child=RecordSerializer(), max_length=MAX_RECORDS)


class RefusalSerializer(serializers.Serializer[Any]):
    """Why a record was not counted."""

    index = serializers.IntegerField(help_text="The record's place in the batch, from 0.")
    code = serializers.CharField()
    message = serializers.CharField()


class ReceiptSerializer(serializers.Serializer[Any]):
    """What became of a batch."""

    accepted = serializers.IntegerField()
    duplicate = serializers.BooleanField(source="is_duplicate")
    refused = RefusalSerializer(many=True, required=False, help_text="Absent when the batch is a repetition.")
