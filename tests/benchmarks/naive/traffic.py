"""The obvious ingestion: a serializer for the records, and ``bulk_create`` beside a ledger in one transaction."""

from typing import Any

from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.models import Api
from subscriptions.models import Subscription
from tests.benchmarks.naive.models import Batch, Record
from tests.benchmarks.naive.views import GatewayTokens


class RecordSerializer(serializers.Serializer[Any]):
    timestamp = serializers.DateTimeField()
    api_id = serializers.CharField()
    subscription_id = serializers.CharField(allow_null=True)
    status = serializers.IntegerField(min_value=100, max_value=599)
    latency_ms = serializers.FloatField(min_value=0)


class BatchSerializer(serializers.Serializer[Any]):
    batch_id = serializers.CharField(max_length=255)
    records = RecordSerializer(many=True)


class TrafficView(APIView):
    authentication_classes = [GatewayTokens]
    permission_classes = [IsAuthenticated]

    def post(self, request: Any) -> Response:
        asked = BatchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        records = asked.validated_data["records"]
        tenants = dict(Api.objects.filter(id__in={record["api_id"] for record in records}).values_list("id", "tenant"))
        named = {record["subscription_id"] for record in records}
        known = set(Subscription.objects.filter(id__in=named).values_list("id", flat=True))
        if any(record["api_id"] not in tenants or record["subscription_id"] not in known for record in records):
            raise ValidationError
        with transaction.atomic():
            _batch, is_new = Batch.objects.get_or_create(batch_id=asked.validated_data["batch_id"])
            if is_new:
                Record.objects.bulk_create(Record(tenant_id=tenants[record["api_id"]], **record) for record in records)
        return Response({"accepted": len(records) if is_new else 0})
