"""APIs over REST."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view

from catalog import services
from catalog.models import Api
from catalog.serializers import ApiSerializer, NewApiSerializer
from stoa_cp.parameters import flag_parameter
from subscriptions.services import retire_api
from tenants.scoping import TenantScopedViewSet


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
    filters = {"status": "status", "name": "name", "path": "path", "version": "api_version"}
    search_fields = ("name",)
    sort_fields = ("name", "path", "status", "created_at", "updated_at")

    def get_queryset(self) -> QuerySet[Api]:
        return Api.objects.live().filter(tenant=self.tenant).select_related("tenant")

    def create(self, request: Any, tenant_id: str) -> HttpResponse:
        new = services.NewApi(**self.parse(NewApiSerializer))
        return self.write(services.register_api, self.tenant, new, render=self.render_created)

    def partial_update(self, request: Any, tenant_id: str, api_id: str) -> HttpResponse:
        api = self.get_object()
        fields = self.parse(ApiSerializer, instance=api)
        return self.write(services.update_api, api, fields, on=api)

    def destroy(self, request: Any, tenant_id: str, api_id: str) -> HttpResponse:
        api, cascade = self.get_object(), flag_parameter(request, "cascade")
        return self.write(retire_api, api, cascade=cascade, on=api, render=self.render_nothing)
