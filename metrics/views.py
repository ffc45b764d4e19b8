"""Traffic over REST: gateways report it, tenants read metrics and usage."""

from dataclasses import replace
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apikeys.models import Mode
from catalog.authentication import GatewayAuthentication, authenticate_gateway
from metrics import examples, serializers
from metrics.ingest.batches import Batch, decode_body, read_json, read_ndjson
from metrics.queries import GroupBy, Scope, scope_of_api, scope_of_subscription
from metrics.reporting.csv import CsvRenderer
from metrics.reporting.date_ranges import choose_date_range
from metrics.reporting.render import MetricsQuestion, stream_csv, stream_json
from metrics.reporting.usage import with_usage
from metrics.services import Receipt, ingest_batch, preview_batch
from stoa_cp.domain.errors import DomainError, InvalidField
from stoa_cp.identity.permissions import require
from stoa_cp.rest.parameters import check_query_parameters, flag_parameter
from stoa_cp.rest.problems import respond_to
from stoa_cp.rest.spooling import spool
from stoa_cp.rest.viewsets import ControlPlaneViewSet
from subscriptions.models import Subscription
from tenants.scoping import TenantScopedViewSet

MODE_PARAMETER = OpenApiParameter(
    "mode", enum=Mode.values, default=Mode.LIVE.value, description="Calls with keys of this mode."
)


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
    query_parameters: ClassVar = dict.fromkeys(rights, tuple(serializers.MetricsQuerySerializer().fields))

    @extend_schema(summary="Get a tenant's metrics")
    def tenant_traffic(self, request: Any, tenant_id: str) -> HttpResponseBase:
        return self._respond(Scope(self.tenant.id))

    @extend_schema(summary="Get an API's metrics")
    def api_traffic(self, request: Any, tenant_id: str, api_id: str) -> HttpResponseBase:
        return self._respond(scope_of_api(self.tenant, api_id))

    @extend_schema(summary="Get a subscription's metrics")
    def subscription_traffic(self, request: Any, tenant_id: str, subscription_id: str) -> HttpResponseBase:
        return self._respond(scope_of_subscription(self.tenant, subscription_id))

    def _respond(self, scope: Scope) -> HttpResponseBase:
        query = serializers.MetricsQuerySerializer(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        parameters = query.validated_data
        date_range = choose_date_range(
            parameters["granularity"], parameters.get("start_date"), parameters.get("end_date")
        )
        group_by = GroupBy(parameters["group_by"]) if "group_by" in parameters else None
        scope = replace(scope, mode=parameters["mode"])
        question = MetricsQuestion(scope, date_range, group_by, fill=parameters["fill"])
        if isinstance(self.request.accepted_renderer, CsvRenderer):
            name = f"metrics-{self.tenant.name}-{date_range.start_date}-{date_range.end_date}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return spool(stream_csv(question)).answer("text/csv; charset=utf-8", headers)
        return spool(stream_json(question)).answer("application/json", {})

    def handle_exception(self, exc: Exception) -> Response:
        # An error is always the JSON envelope, also for a client that accepts CSV: the table has no place for it.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


@extend_schema(tags=["Metrics"])
@extend_schema_view(
    list=extend_schema(
        summary="List the usage of all subscriptions",
        parameters=[MODE_PARAMETER],
        responses=serializers.TenantUsageSerializer(many=True),
    ),
    retrieve=extend_schema(
        summary="Get a subscription's usage",
        parameters=[MODE_PARAMETER],
        responses=serializers.UsageSerializer,
    ),
)
class UsageViewSet(TenantScopedViewSet):
    """What the subscriptions of one tenant have used of their hourly limits and monthly quotas."""

    serializer_class = serializers.TenantUsageSerializer
    lookup_url_kwarg = "subscription_id"
    rights: ClassVar = {"list": "metrics:read", "retrieve": "metrics:read"}
    filters = {"status": "status", "api_id": "api_id", "plan": "plan__slug", "application": "application"}
    query_parameters: ClassVar = {"list": ("mode",), "retrieve": ("mode",)}
    search_fields = ("application",)
    sort_fields = ("requests", "errors", "quota_share", "requests_this_hour", "created_at")

    def get_queryset(self) -> QuerySet[Subscription]:
        subscriptions = Subscription.objects.filter(tenant=self.tenant).select_related("plan")
        return with_usage(subscriptions, timezone.now(), _read_mode(self.request))

    def retrieve(self, request: Any, **kwargs: str) -> Response:
        # No ETag: other resources have their row's version, but usage changes while the subscription's row does not.
        return Response(self.get_serializer(self.get_object()).data)

    def get_serializer_class(self) -> type[serializers.UsageSerializer]:
        return serializers.UsageSerializer if self.action == "retrieve" else serializers.TenantUsageSerializer


def _read_mode(request: Any) -> Mode:
    text = request.query_params.get("mode", Mode.LIVE.value)
    if text not in Mode.values:
        raise InvalidField("mode", _("This must be live or test."))
    return Mode(text)


@extend_schema(tags=["Gateway"])
class TrafficViewSet(ControlPlaneViewSet):
    """What gateways let through. An Idempotency-Key is ignored: ``batch_id`` does the same, and is kept longer."""

    authentication_classes = [GatewayAuthentication]
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
        examples=[examples.TRAFFIC_BATCH, examples.RECEIPT],
    )
    def report(self, request: HttpRequest) -> HttpResponse:
        gateway = authenticate_gateway(request)
        require(gateway.actor, self.rights["report"])
        check_query_parameters(request, ("batch_id", "dry_run"))
        batch = _read_batch(request)
        is_dry_run = flag_parameter(request, "dry_run")
        count = preview_batch if is_dry_run else ingest_batch
        return _render_receipt(count(batch, by=gateway.actor, tenants=gateway.tenants))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return super().dispatch(request, *args, **kwargs)  # REST framework refuses the method
        # Without REST framework: its request, view and parser context refer to each other. Such a cycle kept a batch
        # of 10,000 records in memory until the garbage collector ran, every sixth request, and cost a fifth of the
        # time.
        try:
            return self.report(request)
        except (DomainError, UnsupportedMediaType) as refusal:
            return respond_to(refusal)


def _read_batch(request: HttpRequest) -> Batch:
    body = decode_body(request.read(), request.headers.get("Content-Encoding", "").strip().lower())
    if not body:
        raise InvalidField("", _("The body is empty."), code="required")
    match request.content_type:
        case "application/json":
            return read_json(body)
        case "application/x-ndjson":
            return read_ndjson(body, request.GET.get("batch_id", ""))
    raise UnsupportedMediaType(request.content_type or "")


def _render_receipt(receipt: Receipt) -> JsonResponse:
    """Return what ReceiptSerializer describes. Rendering with it would take longer than counting the records."""
    if receipt.is_duplicate:
        return JsonResponse({"accepted": 0, "duplicate": True})
    refused = [
        {"index": refusal.index, "code": refusal.code, "message": str(refusal.message)} for refusal in receipt.refused
    ]
    return JsonResponse({"accepted": receipt.accepted, "duplicate": False, "refused": refused})
