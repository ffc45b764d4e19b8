"""APIs over REST, and the gateways that carry calls to them."""

from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view

from catalog.importing import read_registration
from catalog.models import Api, Gateway
from catalog.parsers import OldYAMLParser, TextYAMLParser, YAMLParser
from catalog.serializers import (
    ApiSerializer,
    GatewaySerializer,
    IssuedGatewaySerializer,
    NewApiSerializer,
    NewGatewaySerializer,
)
from catalog.services import apis, gateways
from stoa_cp.rest.parameters import flag_parameter
from stoa_cp.rest.parsers import StrictJSONParser
from stoa_cp.rest.serializers import NothingSerializer
from stoa_cp.rest.viewsets import ControlPlaneViewSet
from subscriptions.services.subscriptions import delete_api_and_subscriptions
from tenants.scoping import TenantScopedViewSet

# Query parameters of an import that replace a field of the document.
OVERRIDES = ("path", "upstream_url")


@extend_schema(tags=["APIs"])
@extend_schema_view(
    list=extend_schema(summary="List APIs"),
    create=extend_schema(summary="Register an API", request=NewApiSerializer),
    retrieve=extend_schema(summary="Get an API"),
    partial_update=extend_schema(summary="Update an API"),
    destroy=extend_schema(
        summary="Delete an API",
        parameters=[OpenApiParameter("cascade", bool, description="Revoke its live subscriptions too.")],
    ),
)
class ApiViewSet(TenantScopedViewSet):
    """The APIs of one tenant."""

    serializer_class = ApiSerializer
    lookup_url_kwarg = "api_id"
    rights: ClassVar = {
        "list": "apis:read",
        "create": "apis:write",
        "retrieve": "apis:read",
        "partial_update": "apis:write",
        "destroy": "apis:delete",
    }
    query_parameters: ClassVar = {"destroy": ("cascade",)}
    filters = {"status": "status", "name": "name", "path": "path", "version": "api_version"}
    search_fields = ("name",)
    sort_fields = ("name", "path", "status", "created_at", "updated_at")

    def get_queryset(self) -> QuerySet[Api]:
        return self.tenant.apis.live()

    def create(self, request: Any, tenant_id: str) -> HttpResponse:
        new = apis.NewApi(**self.parse(NewApiSerializer))
        return self.write(partial(apis.create_api, self.tenant, new), status=HTTPStatus.CREATED)

    def partial_update(self, request: Any, tenant_id: str, api_id: str) -> HttpResponse:
        api = self.get_object()
        fields = self.parse(ApiSerializer, instance=api)
        return self.write(partial(apis.update_api, api, fields), instance=api)

    def destroy(self, request: Any, tenant_id: str, api_id: str) -> HttpResponse:
        api, cascade = self.get_object(), flag_parameter(request, "cascade")
        delete = partial(delete_api_and_subscriptions, api, cascade=cascade)
        return self.write(delete, instance=api, status=HTTPStatus.NO_CONTENT)


@extend_schema(tags=["APIs"])
class ApiImportViewSet(TenantScopedViewSet):
    """Documents that become APIs."""

    serializer_class = ApiSerializer
    parser_classes = [StrictJSONParser, YAMLParser, OldYAMLParser, TextYAMLParser]
    rights: ClassVar = {"register": "apis:write"}
    query_parameters: ClassVar = {"register": OVERRIDES}

    @extend_schema(
        summary="Register an API from its OpenAPI document",
        parameters=[
            OpenApiParameter("path", description="Where it hangs under the gateway; its title if absent."),
            OpenApiParameter("upstream_url", description="Where it is served from; the first server if absent."),
        ],
        request={"application/json": OpenApiTypes.OBJECT, "application/yaml": OpenApiTypes.OBJECT},
        responses={HTTPStatus.CREATED: ApiSerializer},
    )
    def register(self, request: Any, tenant_id: str) -> HttpResponse:
        overrides = {name: request.query_params[name] for name in OVERRIDES if name in request.query_params}
        new = read_registration(request.data, overrides)
        return self.write(partial(apis.create_api, self.tenant, new), status=HTTPStatus.CREATED)

    @property
    def collection_path(self) -> str:
        return self.request.path.removesuffix("/import")


@extend_schema(tags=["Gateways"])
@extend_schema_view(
    list=extend_schema(summary="List gateways"),
    create=extend_schema(
        summary="Register a gateway", request=NewGatewaySerializer, responses={201: IssuedGatewaySerializer}
    ),
    retrieve=extend_schema(summary="Get a gateway"),
    partial_update=extend_schema(summary="Bind a gateway to networks and tenants"),
    destroy=extend_schema(summary="Withdraw a gateway"),
)
class GatewayViewSet(ControlPlaneViewSet):
    """The proxies that may ask about calls, for the platform's operators."""

    serializer_class = GatewaySerializer
    lookup_url_kwarg = "gateway_id"
    rights: ClassVar = dict.fromkeys(
        ("list", "create", "retrieve", "partial_update", "destroy", "rotate_token"), "gateways:manage"
    )
    filters = {"name": "name"}
    search_fields = ("name",)
    sort_fields = ("name", "last_seen_at", "created_at", "updated_at")

    def get_queryset(self) -> QuerySet[Gateway]:
        return Gateway.objects.live()

    def create(self, request: Any) -> HttpResponse:
        body = self.parse(NewGatewaySerializer)
        create = partial(gateways.create_gateway, body.pop("name"), gateways.Binding(**body))
        return self.write(create, status=HTTPStatus.CREATED)

    def partial_update(self, request: Any, gateway_id: str) -> HttpResponse:
        gateway = self.get_object()
        fields = self.parse(GatewaySerializer, instance=gateway)
        return self.write(partial(gateways.update_gateway, gateway, fields), instance=gateway)

    def destroy(self, request: Any, gateway_id: str) -> HttpResponse:
        gateway = self.get_object()
        delete = partial(gateways.delete_gateway, gateway)
        return self.write(delete, instance=gateway, status=HTTPStatus.NO_CONTENT)

    @extend_schema(summary="Replace a gateway's token", request=None, responses={200: IssuedGatewaySerializer})
    def rotate_token(self, request: Any, gateway_id: str) -> HttpResponse:
        gateway = self.get_object()
        self.parse(NothingSerializer)
        return self.write(partial(gateways.rotate_gateway_token, gateway), instance=gateway)
