"""Traffic over REST: gateways report it, tenants ask about it."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from catalog.authentication import GatewayAuthentication
from catalog.models import Api
from metrics import examples, serializers
from metrics.batches import Batch
from metrics.ingestion import Receipt, ingest_batch
from metrics.parsers import JSONBatchParser, NDJSONBatchParser
from metrics.queries import GroupBy, Scope
from metrics.renderers import CsvRenderer
from metrics.reports import report_traffic
from metrics.spans import choose_span
from metrics.usage import with_usage
from stoa_cp.errors import InvalidField
from stoa_cp.viewsets import ControlPlaneViewSet
from subscriptions.models import Subscription
from tenants.scoping import TenantScopedViewSet


@extend_schema(
    tags=["Metrics"],
    parameters=[serializers.MetricsQuerySerializer],
    responses={
        (200, "application/json"): serializers.MetricsSerializer,
        (200, "text/csv"): OpenApiTypes.STR,
    },
    examples=[examples.METRICS, examples.METRICS_TABLE],
)
class MetricsViewSet(TenantScopedViewSet):
    """Requests, errors and latencies over time."""

    renderer_classes = [JSONRenderer, CsvRenderer]
    filter_backends = []
    pagination_class = None
    rights: ClassVar = {
        "tenant_traffic": "metrics:read",
        "api_traffic": "metrics:read",
        "subscription_traffic": "metrics:read",
    }

    @extend_schema(summary="Get a tenant's metrics")
    def tenant_traffic(self, request: Any, tenant_id: str) -> Response:
        return self._report(Scope(self.tenant.id))

    @extend_schema(summary="Get an API's metrics")
    def api_traffic(self, request: Any, tenant_id: str, api_id: str) -> Response:
        api = get_object_or_404(Api.objects.live(), tenant=self.tenant, id=api_id)
        return self._report(Scope(self.tenant.id, api_id=api.id))

    @extend_schema(summary="Get a subscription's metrics")
    def subscription_traffic(self, request: Any, tenant_id: str, subscription_id: str) -> Response:
        subscription = get_object_or_404(Subscription, tenant=self.tenant, id=subscription_id)
        return self._report(Scope(self.tenant.id, subscription_id=subscription.id))

    def _report(self, scope: Scope) -> Response:
        query = serializers.MetricsQuerySerializer(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        span = choose_span(asked["granularity"], asked.get("start_date"), asked.get("end_date"))
        group_by = GroupBy(asked["group_by"]) if "group_by" in asked else None
        response = Response(report_traffic(scope, span, group_by, fill=asked["fill"]))
        if isinstance(self.request.accepted_renderer, CsvRenderer):
            name = f"metrics-{self.tenant.name}-{span.start_date}-{span.end_date}.csv"
            response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def handle_exception(self, exc: Exception) -> Response:
        # A refusal is the envelope, also for who asked for a table.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


@extend_schema(tags=["Metrics"])
@extend_schema_view(
    list=extend_schema(
        summary="List the usage of all subscriptions", responses=serializers.TenantUsageSerializer(many=True)
    ),
    retrieve=extend_schema(summary="Get a subscription's usage", responses=serializers.UsageSerializer),
)
class UsageViewSet(TenantScopedViewSet):
    """What the subscriptions of one tenant have used of their hour and their month."""

    serializer_class = serializers.TenantUsageSerializer
    lookup_url_kwarg = "subscription_id"
    rights: ClassVar = {"list": "metrics:read", "retrieve": "metrics:read"}
    filters = {"status": "status", "api_id": "api_id", "plan": "plan__slug", "application": "application"}
    search_fields = ("application",)
    sort_fields = ("requests", "errors", "quota_share", "requests_this_hour", "created_at")

    def get_queryset(self) -> QuerySet[Subscription]:
        subscriptions = Subscription.objects.filter(tenant=self.tenant).select_related("plan")
        return with_usage(subscriptions, timezone.now())

    def retrieve(self, request: Any, **kwargs: str) -> Response:
        # Without the ETag of other resources: usage changes while its subscription does not.
        return Response(self.get_serializer(self.get_object()).data)

    def get_serializer_class(self) -> type[serializers.UsageSerializer]:
        return serializers.UsageSerializer if self.action == "retrieve" else serializers.TenantUsageSerializer


@extend_schema(tags=["Gateway"])
class TrafficViewSet(ControlPlaneViewSet):
    """What gateways let through."""

    authentication_classes = [GatewayAuthentication]
    parser_classes = [JSONBatchParser, NDJSONBatchParser]
    rights: ClassVar = {"report": "gateway:report"}

    @extend_schema(
        summary="Report traffic",
        parameters=[
            OpenApiParameter("batch_id", description="With NDJSON, where the body has no place for it."),
            OpenApiParameter("Content-Encoding", location=OpenApiParameter.HEADER, enum=["gzip"]),
        ],
        request={
            "application/json": serializers.BatchSerializer,
            "application/x-ndjson": serializers.RecordSerializer,
        },
        responses=serializers.ReceiptSerializer,
        examples=[examples.BATCH, examples.RECEIPT],
    )
    def report(self, request: Any) -> HttpResponse:
        if not isinstance(request.data, Batch):
            raise InvalidField("", _("The body is empty."), code="required")
        return self.write(ingest_batch, request.data, render=self._render_receipt)

    def _render_receipt(self, receipt: Receipt) -> Response:
        if receipt.is_duplicate:
            return Response({"accepted": 0, "duplicate": True})
        return Response(serializers.ReceiptSerializer(receipt).data)

    def _attempt(self) -> None:
        """Leave an Idempotency-Key aside: a batch has its own in ``batch_id``, which is kept longer."""
