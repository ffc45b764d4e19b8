"""API keys over REST."""

from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.response import Response

from apikeys.decisions.explain import Question, explain
from apikeys.gateway.serializers import ExplanationRequestSerializer, ExplanationSerializer
from apikeys.models import ApiKey
from apikeys.queries import find_subscription, narrow_to_status
from apikeys.serializers import (
    ApiKeySerializer,
    IssuedKeySerializer,
    KeyRevocationsSerializer,
    KeyRotationSerializer,
    KeySelectionSerializer,
    NewKeySerializer,
)
from apikeys.services import keys, revocations
from stoa_cp.domain.errors import InvalidField
from stoa_cp.rest.conditional import composite_version
from stoa_cp.rest.parameters import flag_parameter
from stoa_cp.rest.serializers import NothingSerializer
from tenants.scoping import TenantScopedViewSet


@extend_schema(tags=["API keys"])
@extend_schema_view(
    list=extend_schema(summary="List API keys"),
    create=extend_schema(summary="Create an API key", request=NewKeySerializer, responses={201: IssuedKeySerializer}),
    retrieve=extend_schema(summary="Get an API key"),
    partial_update=extend_schema(summary="Update an API key"),
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
        "partial_update": "apikeys:write",
        "destroy": "apikeys:write",
        "revoke": "apikeys:write",
        "rotate": "apikeys:write",
        "finish_rotation": "apikeys:write",
    }
    filters = {"status": "status", "subscription_id": "subscription_id", "mode": "mode"}
    search_fields = ("name",)
    sort_fields = ("name", "created_at", "expires_at")

    def get_queryset(self) -> QuerySet[ApiKey]:
        keys = self.tenant.api_keys.with_status().select_related("subscription")
        # The filter compares the computed status afterwards.
        return narrow_to_status(keys, self.request.query_params.get("status", ""), self.tenant)

    def create(self, request: Any, tenant_id: str) -> HttpResponse:
        fields = self.parse(NewKeySerializer)
        subscription = find_subscription(self.tenant, fields.pop("subscription_id"))
        issue = partial(keys.issue_key, subscription, keys.NewKey(**fields))
        return self.write(issue, status=HTTPStatus.CREATED)

    def partial_update(self, request: Any, tenant_id: str, key_id: str) -> HttpResponse:
        key = self.get_object()
        fields = self.parse(ApiKeySerializer, instance=key)
        return self.write(partial(keys.update_key, key, fields), instance=key)

    def destroy(self, request: Any, tenant_id: str, key_id: str) -> HttpResponse:
        key = self.get_object()
        return self.write(partial(revocations.revoke_key, key), instance=key, status=HTTPStatus.NO_CONTENT)

    @extend_schema(
        summary="Revoke many API keys", request=KeySelectionSerializer, responses={200: KeyRevocationsSerializer}
    )
    def revoke(self, request: Any, tenant_id: str) -> HttpResponse:
        fields = self.parse(KeySelectionSerializer)
        confirm = fields.pop("confirm", None)
        if "ids" in fields:
            revoke = partial(revocations.revoke_named_keys, self.tenant, fields["ids"])
        else:
            if confirm is None and not flag_parameter(request, "dry_run"):
                raise InvalidField("confirm", _("A dry run tells the number to confirm."), code="required")
            selected = revocations.KeyFilter(**fields)
            revoke = partial(revocations.revoke_selected_keys, self.tenant, selected, confirm=confirm)
        return self.write(revoke, render=_render_revocations)

    @extend_schema(summary="Rotate an API key", request=KeyRotationSerializer, responses={200: IssuedKeySerializer})
    def rotate(self, request: Any, tenant_id: str, key_id: str) -> HttpResponse:
        key = self.get_object()
        rotation = self.parse(KeyRotationSerializer)
        fields = {name: rotation[name] for name in ("expires_at",) if name in rotation}
        rotate = partial(keys.rotate_key, key, rotation["overlap_seconds"], force=rotation["force"], fields=fields)
        return self.write(rotate, instance=key)

    @extend_schema(summary="End the overlap of a rotation", request=None)
    def finish_rotation(self, request: Any, tenant_id: str, key_id: str) -> HttpResponse:
        key = self.get_object()
        self.parse(NothingSerializer)
        return self.write(partial(keys.finish_rotation, key), instance=key)

    def etag_version(self, resource: Any) -> str:
        # All that is shown with a key and changes without a new version of its row: by the clock, by the end of its
        # subscription, by a call.
        return composite_version(
            resource.version,
            resource.status,
            resource.previous_valid_until,
            resource.previous_last_used_at,
            resource.last_used_at,
            resource.leaked_at,
        )

    def reload(self, resource: Model) -> ApiKey:
        """Return the key as a read shows it, with the annotations that the database computes."""
        return self.get_queryset().get(pk=resource.pk)


def _render_revocations(revoked: list[ApiKey]) -> Response:
    """Return the answer of a bulk: for each key what DELETE answers."""
    results = [
        {"index": index, "id": key.id, "status": HTTPStatus.NO_CONTENT.value} for index, key in enumerate(revoked)
    ]
    return Response({"results": results})


@extend_schema(tags=["API keys"])
class ExplanationViewSet(TenantScopedViewSet):
    """Why a call passes or not, for people."""

    rights: ClassVar = {"explain": "apikeys:read"}

    @extend_schema(
        summary="Explain a decision", request=ExplanationRequestSerializer, responses={200: ExplanationSerializer}
    )
    def explain(self, request: Any, tenant_id: str) -> Response:
        # A POST although it changes nothing: the key is a secret, and URLs end up in access logs.
        question = Question(**self.parse(ExplanationRequestSerializer))
        return Response(ExplanationSerializer(explain(self.tenant, question)).data)
