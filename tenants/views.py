"""Tenants and their event logs over REST."""

from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response

from stoa_cp.crypto.audit_keys import pem_of, public_keys
from stoa_cp.eventlog.heads import sign_heads
from stoa_cp.eventlog.models import Event
from stoa_cp.eventlog.verification import verify_chain
from stoa_cp.identity.permissions import require
from stoa_cp.rest.api_call import api_call_of
from stoa_cp.rest.serializers import NothingSerializer, ReasonSerializer
from stoa_cp.rest.viewsets import ControlPlaneViewSet
from tenants import examples, services
from tenants.event_log import (
    HEAD_PARAMETERS,
    SPAN_PARAMETERS,
    EventTypeFilter,
    LinesRenderer,
    LogPagination,
    event_number,
    link_to_next,
    page_of_chains,
)
from tenants.models import TenantQuerySet
from tenants.queries import visible_chains, visible_tenants
from tenants.scoping import TenantScopedViewSet
from tenants.serializers import (
    AuditKeysSerializer,
    ChainSerializer,
    EventSerializer,
    HeadPageSerializer,
    IdentitySerializer,
    NewTenantSerializer,
    SignedHeadSerializer,
    TenantSerializer,
)

# Fields that a tenant's own administrators may not change: they would raise their own limits.
PLATFORM_FIELDS = frozenset({"tier", "rate_limit_multiplier", "rate_limit_per_hour"})


class MeViewSet(ControlPlaneViewSet):
    """The caller itself."""

    serializer_class = IdentitySerializer
    filter_backends = []
    rights: ClassVar = {"retrieve": "identity:read"}

    @extend_schema(tags=["Identity"], summary="Get who you are")
    def retrieve(self, request: Any, **kwargs: str) -> Response:
        # A platform caller sees every tenant and belongs to none. 100 bound the answer; a token names a few.
        tenants = [] if self.actor.is_platform else list(visible_tenants(self.actor)[:100])
        identity = {
            "subject": self.actor.id,
            "roles": sorted(self.actor.roles),
            "tenants": tenants,
            "tier": tenants[0].tier if tenants else None,
            "rate_limit": api_call_of(request).rate_limit,
        }
        return Response(self.get_serializer(identity).data)


@extend_schema(tags=["Tenants"])
@extend_schema_view(
    list=extend_schema(summary="List tenants"),
    create=extend_schema(summary="Create a tenant", request=NewTenantSerializer),
)
class TenantCollectionViewSet(ControlPlaneViewSet):
    """All tenants that the caller may see."""

    serializer_class = TenantSerializer
    rights: ClassVar = {"list": "tenants:read", "create": "tenants:manage"}
    filters = {"status": "status", "tier": "tier", "region": "region", "name": "name"}
    search_fields = ("name",)
    sort_fields = ("name", "tier", "status", "created_at", "updated_at")

    def get_queryset(self) -> TenantQuerySet:
        return visible_tenants(self.actor)

    def create(self, request: Any) -> HttpResponse:
        new = services.NewTenant(**self.parse(NewTenantSerializer))
        return self.write(partial(services.create_tenant, new), status=HTTPStatus.CREATED)


@extend_schema(tags=["Tenants"])
@extend_schema_view(
    retrieve=extend_schema(summary="Get a tenant"),
    partial_update=extend_schema(summary="Update a tenant"),
    destroy=extend_schema(summary="Delete a tenant"),
)
class TenantViewSet(TenantScopedViewSet):
    """One tenant."""

    serializer_class = TenantSerializer
    rights: ClassVar = {
        "retrieve": "tenants:read",
        "partial_update": "tenants:write",
        "destroy": "tenants:manage",
        "suspend": "tenants:manage",
        "resume": "tenants:manage",
    }

    def get_object(self) -> Any:
        return self.tenant

    def partial_update(self, request: Any, tenant_id: str) -> HttpResponse:
        fields = self.parse(TenantSerializer, instance=self.tenant)
        if PLATFORM_FIELDS & fields.keys():
            require(self.actor, "tenants:manage")
        return self.write(partial(services.update_tenant, self.tenant, fields), instance=self.tenant)

    def destroy(self, request: Any, tenant_id: str) -> HttpResponse:
        delete = partial(services.delete_tenant, self.tenant)
        return self.write(delete, instance=self.tenant, status=HTTPStatus.NO_CONTENT)

    @extend_schema(summary="Suspend a tenant", request=ReasonSerializer)
    def suspend(self, request: Any, tenant_id: str) -> HttpResponse:
        reason = self.parse(ReasonSerializer)["reason"]
        return self.write(partial(services.suspend_tenant, self.tenant, reason), instance=self.tenant)

    @extend_schema(summary="Resume a suspended tenant", request=None)
    def resume(self, request: Any, tenant_id: str) -> HttpResponse:
        self.parse(NothingSerializer)
        return self.write(partial(services.resume_tenant, self.tenant), instance=self.tenant)


@extend_schema(tags=["Events"])
@extend_schema_view(list=extend_schema(summary="List events, oldest first"))
class EventViewSet(TenantScopedViewSet):
    """What happened in one tenant: the audit trail."""

    serializer_class = EventSerializer
    filter_backends = [EventTypeFilter]
    pagination_class = LogPagination
    rights: ClassVar = {"list": "events:read", "verify": "events:read"}
    query_parameters: ClassVar = {"verify": ("from", "to")}

    def get_queryset(self) -> QuerySet[Event]:
        return Event.objects.filter(tenant_id=self.tenant.id)

    @extend_schema(
        summary="Verify the event log's hash chain",
        responses=ChainSerializer,
        filters=False,
        parameters=SPAN_PARAMETERS,
    )
    def verify(self, request: Any, tenant_id: str) -> Response:
        first, last = event_number(request, "from"), event_number(request, "to")
        return Response(ChainSerializer(verify_chain(self.tenant.id, first, last)).data)


@extend_schema(tags=["Events"])
class HeadViewSet(ControlPlaneViewSet):
    """The signed heads of the event log, for a witness outside: a tenant's own, or all for the platform."""

    rights: ClassVar = {"heads": "events:read", "keys": "events:read"}
    query_parameters: ClassVar = {"heads": ("after", "limit")}

    @extend_schema(
        summary="Get the signed heads of the event log",
        parameters=HEAD_PARAMETERS,
        responses={
            (200, "application/x-ndjson"): SignedHeadSerializer,
            (200, "application/json"): HeadPageSerializer,
        },
        examples=[examples.HEAD_LINE, examples.HEAD_PAGE],
    )
    def heads(self, request: Any) -> Response:
        chains, limit, next_cursor = page_of_chains(visible_chains(self.actor), request)
        page = {"items": sign_heads(chains), "limit": limit, "next_cursor": next_cursor}
        response = Response(HeadPageSerializer(page).data, headers=link_to_next(request, next_cursor))
        # A page without heads has no line, and the REST framework removes the media type where there is no content.
        response.add_post_render_callback(
            lambda rendered: rendered.headers.setdefault("Content-Type", request.accepted_media_type)
        )
        return response

    @extend_schema(summary="Get the public keys that verify heads", responses=AuditKeysSerializer)
    def keys(self, request: Any) -> Response:
        keys = [{"key_id": key_id, "public_key": pem_of(key)} for key_id, key in public_keys().items()]
        return Response(AuditKeysSerializer({"items": keys}).data)

    def get_renderers(self) -> list[BaseRenderer]:
        # Lines by default: a client appends the answer to its file as it is.
        return [LinesRenderer(), JSONRenderer()] if self.action == "heads" else [JSONRenderer()]

    def handle_exception(self, exc: Exception) -> Response:
        # An error is always the JSON envelope, also for a client that accepts lines.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)
