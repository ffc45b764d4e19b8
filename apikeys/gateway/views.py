"""The REST views for gateways: decisions on calls, verification of keys, and configurations."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.decisions.call import Call
from apikeys.decisions.decide import Decision, decide
from apikeys.decisions.monitoring import count_decision
from apikeys.decisions.reasons import Reason
from apikeys.gateway.calls import PROFILES, envoy_profile, handed_over
from apikeys.gateway.exporters import MEDIA_TYPES
from apikeys.gateway.forward_auth import authorize
from apikeys.gateway.long_poll import RETRY_AFTER_SECONDS, Source, wait_for_change
from apikeys.gateway.serializers import VerificationRequestSerializer, VerificationSerializer
from apikeys.gateway.verify import encode_verification
from apikeys.serializers import ConfigurationQuerySerializer, ConfigurationSerializer
from catalog.authentication import BoundGateway, GatewayAuthentication, authenticate_gateway
from catalog.routing import read_target
from stoa_cp.domain.errors import DomainError
from stoa_cp.identity.permissions import require
from stoa_cp.ratelimit.limiter import RateLimit, count_or_refuse
from stoa_cp.rest.conditional import etag, etag_matches
from stoa_cp.rest.parameters import check_query_parameters
from stoa_cp.rest.parsers import parse_json
from stoa_cp.rest.problems import respond_to
from stoa_cp.rest.viewsets import ControlPlaneViewSet

ORIGINAL_CALL = [
    OpenApiParameter(name, location=OpenApiParameter.HEADER, description=description)
    for name, description in (
        ("X-API-Key", "The consumer's key; or `Authorization: Bearer stoa_…`."),
        ("X-Forwarded-Uri", "The original path and query: `/authorize`."),
        ("X-Original-URI", "The same: `/authorize/nginx`."),
        ("X-Original-URL", "The original URL: `/authorize/ingress`."),
        ("X-Forwarded-Method", "The original method: `/authorize`."),
        ("X-Original-Method", "The same: `/authorize/nginx` and `/authorize/ingress`."),
        ("X-Forwarded-For", "The caller's address is the last one; needed for keys that are bound to addresses."),
    )
]


# Built once: half of a serializer's time goes into building its fields.
VERIFICATION_REQUEST = VerificationRequestSerializer()


class DecisionView(APIView):
    """Base of the views that gateways query for every call.

    ``dispatch`` does not go through the REST framework, which would take longer than the decision. The handler methods
    are there for the OpenAPI document.
    """

    authentication_classes = [GatewayAuthentication]
    rights: ClassVar = {"decide": "gateway:decide"}
    action = "decide"

    def answer_gateway(self, request: HttpRequest, answer: Callable[[BoundGateway], HttpResponse]) -> HttpResponse:
        """Return the answer to an authenticated gateway; an error as the envelope of every error."""
        try:
            gateway = authenticate_gateway(request)
            require(gateway.actor, self.rights[self.action])
            return answer(gateway)
        except (DomainError, ValidationError) as refusal:
            return respond_to(refusal)


@extend_schema(tags=["Gateway"])
class VerifyView(DecisionView):
    """Verification of a key, for gateways that send JSON."""

    @extend_schema(
        summary="Verify an API key", request=VerificationRequestSerializer, responses={200: VerificationSerializer}
    )
    def post(self, request: Any) -> HttpResponse:
        return self._respond(self._decide(request.data, request.auth))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and request.content_type == "application/json":
            return self.answer_gateway(request, lambda gateway: self._verify(request, gateway))
        return super().dispatch(request, *args, **kwargs)  # refuses the method or the media type

    def _verify(self, request: HttpRequest, gateway: BoundGateway) -> HttpResponse:
        check_query_parameters(request, ())
        call = handed_over(request.META)
        return self._respond(decide(call) if call else self._decide(parse_json(request.body), gateway))

    def _decide(self, body: Any, gateway: BoundGateway) -> Decision:
        fields = VERIFICATION_REQUEST.run_validation(body)
        target = None if fields["path"] is None else read_target(fields["path"])
        if not fields["key"]:
            return Decision(Reason.KEY_MISSING)
        if fields["path"] is not None and target is None:
            return Decision(Reason.ROUTE_UNKNOWN)
        method, address = fields.get("method", ""), fields.get("address")
        call = Call(fields["key"], target, fields["api_id"], fields["cost"], method, lambda: address, gateway.tenants)
        return decide(call)

    def _respond(self, decision: Decision) -> HttpResponse:
        count_decision(decision.reason, decision.source)
        return HttpResponse(encode_verification(decision), content_type="application/json")


@extend_schema(tags=["Gateway"])
class AuthorizeView(DecisionView):
    """Forward-auth: any method; the body is not read."""

    profile = ""

    @extend_schema(
        summary="Decide on a call (forward-auth, any method)",
        parameters=ORIGINAL_CALL,
        responses={200: OpenApiResponse(description="The call may pass: identity and upstream are in the headers.")},
    )
    def get(self, request: HttpRequest, path: str = "") -> HttpResponseBase:
        return self.dispatch(request, path)

    def dispatch(self, request: HttpRequest, path: str = "") -> HttpResponseBase:
        profile = envoy_profile(path) if self.profile == "envoy" else PROFILES[self.profile]
        return self.answer_gateway(request, lambda gateway: authorize(request.META, profile, gateway))


@extend_schema(tags=["Gateway"])
class ConfigurationViewSet(ControlPlaneViewSet):
    """The configuration of a gateway: to decide by itself, or to query the control plane."""

    authentication_classes = [GatewayAuthentication]
    filter_backends = []
    rights: ClassVar = {"configuration": "gateway:decide"}
    query_parameters: ClassVar = {"configuration": tuple(ConfigurationQuerySerializer().fields)}

    @extend_schema(
        summary="Get routes, limits and key digests, or a program's configuration",
        parameters=[ConfigurationQuerySerializer],
        responses={
            (200, "application/json"): ConfigurationSerializer,
            (200, "text/plain"): OpenApiTypes.STR,
            304: None,
        },
    )
    def configuration(self, request: Any) -> HttpResponseBase:
        query = ConfigurationQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        program, wait_seconds = query.validated_data["format"], query.validated_data["wait"]
        known = request.headers.get("If-None-Match", "")
        gateway: BoundGateway = request.auth
        # A gateway that waits for changes sends 120 requests an hour. One that polls without a pause would have a
        # document of megabytes made again and again.
        limit = RateLimit(f"gateway-config:{gateway.actor.id}", settings.STOA_GATEWAY_CONFIG_RATE_LIMIT)
        count_or_refuse(limit, request._request)  # noqa: SLF001 - django-ratelimit takes Django's request
        tenants = None if gateway.tenants is None else tuple(sorted(gateway.tenants))
        configuration = wait_for_change(Source(program, tenants), lambda tag: etag_matches(known, tag), wait_seconds)
        headers = {"ETag": etag(configuration.tag)}
        if configuration.had_no_slot:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if configuration.content is None:
            return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        media_type = "application/json" if program == "json" else f"{MEDIA_TYPES[program]}; charset=utf-8"
        return configuration.content.answer(media_type, headers)
