"""API keys over REST."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import services
from apikeys.explanation import explain
from apikeys.forwardauth import PROFILES, answer, envoy
from apikeys.models import ApiKey
from apikeys.reasons import Reason
from apikeys.reports import report_of
from apikeys.serializers import ApiKeySerializer, IssuedKeySerializer, KeyRotationSerializer, NewKeySerializer
from apikeys.verdicts import (
    ExplanationRequestSerializer,
    ExplanationSerializer,
    VerificationRequestSerializer,
    VerificationSerializer,
)
from apikeys.verification import Call, Decision, decide
from catalog.authentication import GatewayAuthentication, authenticate_gateway
from catalog.routing import read_target
from stoa_cp.concurrency import with_state
from stoa_cp.errors import DomainError, InvalidField, Problem, problem_of, respond
from stoa_cp.parsers import parse_json
from stoa_cp.permissions import require
from stoa_cp.serializers import NothingSerializer
from subscriptions.models import Subscription
from tenants.scoping import TenantScopedViewSet

ORIGINAL_CALL = [
    OpenApiParameter(name, location=OpenApiParameter.HEADER, description=description)
    for name, description in (
        ("X-API-Key", "The consumer's key; or `Authorization: Bearer stoa_…`."),
        ("X-Forwarded-Uri", "The original path and query: `/authorize`."),
        ("X-Original-URI", "The same: `/authorize/nginx`."),
        ("X-Original-URL", "The original URL: `/authorize/ingress`."),
    )
]


@extend_schema(tags=["API keys"])
@extend_schema_view(
    list=extend_schema(summary="List API keys"),
    create=extend_schema(summary="Create an API key", request=NewKeySerializer, responses={201: IssuedKeySerializer}),
    retrieve=extend_schema(summary="Get an API key"),
    destroy=extend_schema(summary="Revoke an API key"),
)
class ApiKeyViewSet(TenantScopedViewSet):
    """The keys to one tenant's APIs."""

    serializer_class = ApiKeySerializer
    lookup_url_kwarg = "key_id"
    rights: ClassVar = {
        "list": "apikeys:read",
        "create": "apikeys:write",
        "retrieve": "apikeys:read",
        "destroy": "apikeys:write",
        "rotate": "apikeys:write",
        "finish_rotation": "apikeys:write",
    }
    filters = {"status": "status", "subscription_id": "subscription_id", "mode": "mode"}
    search_fields = ("name",)
    sort_fields = ("name", "created_at", "expires_at")

    def get_queryset(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.with_status().filter(tenant=self.tenant).select_related("subscription")

    def create(self, request: Any, tenant_id: str) -> HttpResponse:
        fields = self.parse(NewKeySerializer)
        subscription = self._find_subscription(fields.pop("subscription_id"))
        return self.write(services.issue_key, subscription, services.NewKey(**fields), render=self.render_issued)

    def destroy(self, request: Any, tenant_id: str, key_id: str) -> HttpResponse:
        key = self.get_object()
        return self.write(services.revoke_key, key, on=key, render=self.render_nothing)

    @extend_schema(summary="Rotate an API key", request=KeyRotationSerializer, responses={200: IssuedKeySerializer})
    def rotate(self, request: Any, tenant_id: str, key_id: str) -> HttpResponse:
        key = self.get_object()
        wish = self.parse(KeyRotationSerializer)
        return self.write(
            services.rotate_key,
            key,
            wish["overlap_seconds"],
            force=wish["force"],
            on=key,
            render=self.render_rotated,
        )

    @extend_schema(summary="End the overlap of a rotation", request=None)
    def finish_rotation(self, request: Any, tenant_id: str, key_id: str) -> HttpResponse:
        key = self.get_object()
        self.parse(NothingSerializer)
        return self.write(services.finish_rotation, key, on=key)

    def version_of(self, resource: Any) -> str:
        return with_state(
            resource.version,
            resource.status,
            resource.previous_valid_until,
            resource.previous_last_used_at,
            resource.last_used_at,
        )

    def read_again(self, resource: Model) -> ApiKey:
        """Return the key as a read shows it: the database tells its status."""
        return self.get_queryset().get(pk=resource.pk)

    def render_issued(self, issued: tuple[ApiKey, str]) -> Response:
        """Answer 201 with the secret, which is shown this once."""
        return self.render_created(issued[0], once={"key": issued[1]})

    def render_rotated(self, rotated: tuple[ApiKey, str]) -> Response:
        """Answer with the new secret, which is shown this once."""
        return self.render(rotated[0], once={"key": rotated[1]})

    def _find_subscription(self, subscription_id: str) -> Subscription:
        subscription = Subscription.objects.filter(tenant=self.tenant, id=subscription_id).first()
        if subscription is None:
            raise InvalidField("subscription_id", _("There is no such subscription."))
        return subscription


@extend_schema(tags=["API keys"])
class ExplanationViewSet(TenantScopedViewSet):
    """Why a call passes or not, for people."""

    rights: ClassVar = {"explain": "apikeys:read"}

    @extend_schema(
        summary="Explain a decision", request=ExplanationRequestSerializer, responses={200: ExplanationSerializer}
    )
    def explain(self, request: Any, tenant_id: str) -> Response:
        asked = self.parse(ExplanationRequestSerializer)
        explanation = explain(self.tenant, asked["path"], key=asked.get("key"), key_id=asked.get("key_id"))
        return Response(ExplanationSerializer(explanation).data)


# Made once: half of a serializer's time goes into its fields.
QUESTION = VerificationRequestSerializer()


class DecisionView(APIView):
    """What gateways ask about every call: past the REST framework, which would cost more than the decision."""

    authentication_classes = [GatewayAuthentication]
    rights: ClassVar = {"decide": "gateway:decide"}
    action = "decide"

    def answer(self, request: HttpRequest, decide_on: Callable[[], HttpResponse]) -> HttpResponse:
        """Let the gateway in, and turn a refusal into the envelope."""
        try:
            require(authenticate_gateway(request.headers), self.rights[self.action])
            return decide_on()
        except (DomainError, ValidationError) as refusal:
            return respond(problem_of(refusal) or Problem("internal_error"))


@extend_schema(tags=["Gateway"])
class VerifyView(DecisionView):
    """Verification for gateways that speak JSON."""

    @extend_schema(
        summary="Verify an API key", request=VerificationRequestSerializer, responses={200: VerificationSerializer}
    )
    def post(self, request: Request) -> HttpResponse:
        return self._verify(request.data)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and request.content_type == "application/json":
            return self.answer(request, lambda: self._verify(parse_json(request.body)))
        return super().dispatch(request, *args, **kwargs)  # refuses the method or the media type

    def _verify(self, body: Any) -> HttpResponse:
        asked = QUESTION.run_validation(body)
        target = None if asked["path"] is None else read_target(asked["path"])
        if not asked["key"]:
            decision = Decision(Reason.KEY_MISSING)
        elif asked["path"] is not None and target is None:
            decision = Decision(Reason.ROUTE_UNKNOWN)
        else:
            decision = decide(Call(asked["key"], target, asked["api_id"], asked["cost"]))
        return JsonResponse(report_of(decision))


@extend_schema(tags=["Gateway"])
class AuthorizeView(DecisionView):
    """Forward-auth: any method, and a body that nobody reads."""

    profile = ""

    @extend_schema(
        summary="Decide on a call (forward-auth, any method)",
        parameters=ORIGINAL_CALL,
        responses={200: OpenApiResponse(description="The call may pass: identity and upstream are in the headers.")},
    )
    def get(self, request: HttpRequest, path: str = "") -> HttpResponse:
        return answer(request, envoy(path) if self.profile == "envoy" else PROFILES[self.profile])

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return self.answer(request, lambda: self.get(request, *args, **kwargs))
