"""The REST endpoints of webhooks, their deliveries and the event types."""

from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.response import Response

from stoa_cp.domain.issued import Issued
from stoa_cp.rest.serializers import NothingSerializer
from stoa_cp.rest.viewsets import ControlPlaneViewSet
from tenants.scoping import TenantScopedViewSet
from webhooks import services
from webhooks.delivery.replay import redeliver, replay
from webhooks.event_types import TYPES
from webhooks.models import Delivery, Webhook
from webhooks.queries import list_deliveries, list_webhooks
from webhooks.serializers import (
    CatalogueSerializer,
    DeliverySerializer,
    NewWebhookSerializer,
    ReplayedSerializer,
    ReplaySerializer,
    SecretRotationSerializer,
    SignedWebhookSerializer,
    WebhookSerializer,
)

# A warning and no refusal: the secret in the specification's own example is as short. Operators may refuse it with
# STOA_WEBHOOK_MIN_SECRET_BYTES.
WEAK_SECRET = _("The secret is shorter than 24 bytes: easier to guess than Standard Webhooks wants it.")


@extend_schema(tags=["Webhooks"])
@extend_schema_view(
    list=extend_schema(summary="List webhooks"),
    create=extend_schema(
        summary="Create a webhook",
        request=NewWebhookSerializer,
        responses={HTTPStatus.CREATED: SignedWebhookSerializer},
    ),
    retrieve=extend_schema(summary="Get a webhook"),
    partial_update=extend_schema(summary="Update a webhook"),
    destroy=extend_schema(summary="Delete a webhook"),
)
class WebhookViewSet(TenantScopedViewSet):
    """The webhooks of one tenant."""

    serializer_class = WebhookSerializer
    lookup_url_kwarg = "webhook_id"
    rights: ClassVar = {
        "list": "webhooks:read",
        "create": "webhooks:write",
        "retrieve": "webhooks:read",
        "partial_update": "webhooks:write",
        "destroy": "webhooks:write",
        "test": "webhooks:write",
        "rotate_secret": "webhooks:write",
        "replay": "webhooks:write",
    }
    filters = {"status": "status", "url": "url"}
    search_fields = ("url", "description")
    sort_fields = ("url", "status", "created_at", "updated_at")

    def get_queryset(self) -> QuerySet[Webhook]:
        return list_webhooks(self.tenant)

    def create(self, request: Any, tenant_id: str) -> HttpResponse:
        new = services.NewWebhook(**self.parse(NewWebhookSerializer))
        return self.write(partial(services.register_webhook, self.tenant, new), status=HTTPStatus.CREATED)

    def partial_update(self, request: Any, tenant_id: str, webhook_id: str) -> HttpResponse:
        webhook = self.get_object()
        fields = self.parse(WebhookSerializer, instance=webhook)
        return self.write(partial(services.update_webhook, webhook, fields), instance=webhook)

    def destroy(self, request: Any, tenant_id: str, webhook_id: str) -> HttpResponse:
        webhook = self.get_object()
        delete = partial(services.delete_webhook, webhook)
        return self.write(delete, instance=webhook, status=HTTPStatus.NO_CONTENT)

    @extend_schema(
        summary="Send a test event to a webhook",
        request=None,
        responses={HTTPStatus.ACCEPTED: DeliverySerializer},
    )
    def test(self, request: Any, tenant_id: str, webhook_id: str) -> HttpResponse:
        webhook = self.get_object()
        self.parse(NothingSerializer)
        return self.write(partial(services.send_test, webhook), instance=webhook, render=_render_delivery)

    @extend_schema(
        summary="Rotate a webhook's secret",
        request=SecretRotationSerializer,
        responses=SignedWebhookSerializer,
    )
    def rotate_secret(self, request: Any, tenant_id: str, webhook_id: str) -> HttpResponse:
        webhook = self.get_object()
        rotation = services.Rotation(**self.parse(SecretRotationSerializer))
        return self.write(partial(services.rotate_secret, webhook, rotation), instance=webhook)

    @extend_schema(
        summary="Send the events of a span of time again",
        request=ReplaySerializer,
        responses={HTTPStatus.ACCEPTED: ReplayedSerializer},
    )
    def replay(self, request: Any, tenant_id: str, webhook_id: str) -> HttpResponse:
        webhook = self.get_object()
        period = self.parse(ReplaySerializer)
        return self.write(partial(replay, webhook, **period), instance=webhook, render=_render_count)

    def members_shown_once(self, issued: Issued[Webhook]) -> dict[str, str]:
        is_warned = issued.secrets and issued.resource.secret_is_weak
        return dict(issued.secrets) | ({"warning": str(WEAK_SECRET)} if is_warned else {})


def _render_delivery(delivery: Delivery) -> Response:
    return Response(DeliverySerializer(delivery).data, status=HTTPStatus.ACCEPTED)


def _render_count(deliveries: int) -> Response:
    return Response({"deliveries": deliveries}, status=HTTPStatus.ACCEPTED)


@extend_schema(tags=["Webhooks"])
@extend_schema_view(
    list=extend_schema(summary="List a webhook's deliveries"),
    retrieve=extend_schema(summary="Get a delivery with every attempt"),
)
class DeliveryViewSet(TenantScopedViewSet):
    """What was sent to one webhook."""

    serializer_class = DeliverySerializer
    lookup_url_kwarg = "delivery_id"
    rights: ClassVar = {"list": "webhooks:read", "retrieve": "webhooks:read", "redeliver": "webhooks:write"}
    filters = {"status": "status", "event_type": "event__type", "event_id": "event_id"}

    def get_queryset(self) -> QuerySet[Delivery]:
        return list_deliveries(self.tenant, self.kwargs["webhook_id"])

    def etag_version(self, resource: Delivery) -> str:
        """Return the state of the delivery: workers change it, so it has no version that counts an owner's changes."""
        return f"{resource.status}-{resource.attempt}-{resource.next_attempt_at}"

    @extend_schema(
        summary="Send a delivery again",
        request=None,
        responses={HTTPStatus.ACCEPTED: DeliverySerializer},
    )
    def redeliver(self, request: Any, tenant_id: str, webhook_id: str, delivery_id: str) -> HttpResponse:
        delivery = self.get_object()
        self.parse(NothingSerializer)  # a body would be ignored, so it is refused
        return self.write(partial(redeliver, delivery), render=_render_delivery)


@extend_schema(tags=["Webhooks"])
class EventTypeViewSet(ControlPlaneViewSet):
    """The published event types."""

    rights: ClassVar = {"catalogue": "webhooks:read"}

    @extend_schema(summary="List the types of events", responses=CatalogueSerializer)
    def catalogue(self, request: Any) -> Response:
        return Response(CatalogueSerializer({"items": TYPES.values(), "total": len(TYPES)}).data)
