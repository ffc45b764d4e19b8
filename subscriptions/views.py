"""Plans and subscriptions over REST."""

from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_view

from apikeys.queries import newest_live_start
from apikeys.services.access import grant_access, subscribe
from stoa_cp.identity.permissions import require
from stoa_cp.rest.conditional import composite_version
from stoa_cp.rest.serializers import NothingSerializer, ReasonSerializer
from subscriptions.models import Plan, Subscription
from subscriptions.serializers import (
    NewPlanSerializer,
    NewSubscriptionSerializer,
    PlanSerializer,
    SignedSubscriptionSerializer,
    SubscriptionSerializer,
    TermsSerializer,
)
from subscriptions.services import approvals, plans, subscriptions
from subscriptions.services.requests import NewSubscription
from tenants.scoping import TenantScopedViewSet


@extend_schema(tags=["Plans"])
@extend_schema_view(
    list=extend_schema(summary="List plans"),
    create=extend_schema(summary="Create a plan", request=NewPlanSerializer),
    retrieve=extend_schema(summary="Get a plan"),
    partial_update=extend_schema(summary="Update a plan"),
    destroy=extend_schema(summary="Delete a plan"),
)
class PlanViewSet(TenantScopedViewSet):
    """The plans of one tenant."""

    serializer_class = PlanSerializer
    lookup_url_kwarg = "plan_id"
    rights: ClassVar = {
        "list": "plans:read",
        "create": "plans:write",
        "retrieve": "plans:read",
        "partial_update": "plans:write",
        "destroy": "plans:delete",
    }
    filters = {"slug": "slug", "approval": "approval"}
    search_fields = ("name", "slug")
    sort_fields = ("slug", "name", "created_at")

    def get_queryset(self) -> QuerySet[Plan]:
        return self.tenant.plans.live()

    def create(self, request: Any, tenant_id: str) -> HttpResponse:
        new = plans.NewPlan(**self.parse(NewPlanSerializer))
        return self.write(partial(plans.create_plan, self.tenant, new), status=HTTPStatus.CREATED)

    def partial_update(self, request: Any, tenant_id: str, plan_id: str) -> HttpResponse:
        plan = self.get_object()
        fields = self.parse(PlanSerializer, instance=plan)
        return self.write(partial(plans.update_plan, plan, fields), instance=plan)

    def destroy(self, request: Any, tenant_id: str, plan_id: str) -> HttpResponse:
        plan = self.get_object()
        return self.write(partial(plans.delete_plan, plan), instance=plan, status=HTTPStatus.NO_CONTENT)


@extend_schema(tags=["Subscriptions"])
@extend_schema_view(
    list=extend_schema(summary="List subscriptions"),
    create=extend_schema(
        summary="Create a subscription",
        request=NewSubscriptionSerializer,
        responses={HTTPStatus.CREATED: SignedSubscriptionSerializer},
    ),
    retrieve=extend_schema(summary="Get a subscription"),
    partial_update=extend_schema(summary="Change a subscription's terms", responses=SignedSubscriptionSerializer),
    destroy=extend_schema(summary="Revoke a subscription", request=ReasonSerializer),
)
class SubscriptionViewSet(TenantScopedViewSet):
    """The subscriptions to one tenant's APIs."""

    serializer_class = SubscriptionSerializer
    lookup_url_kwarg = "subscription_id"
    rights: ClassVar = {
        "list": "subscriptions:read",
        "create": "subscriptions:write",
        "retrieve": "subscriptions:read",
        "partial_update": "subscriptions:write",
        "destroy": "subscriptions:decide",
        "approve": "subscriptions:decide",
        "reject": "subscriptions:decide",
        "suspend": "subscriptions:decide",
        "resume": "subscriptions:decide",
    }
    filters = {"status": "status", "api_id": "api_id", "plan": "plan__slug", "application": "application"}
    search_fields = ("application",)
    sort_fields = ("application", "status", "created_at", "updated_at", "expires_at")

    def get_queryset(self) -> QuerySet[Subscription]:
        rows = self.tenant.subscriptions.select_related("plan")
        return rows.annotate(api_key_start=newest_live_start())

    def create(self, request: Any, tenant_id: str) -> HttpResponse:
        new = NewSubscription(**self.parse(NewSubscriptionSerializer))
        # A service of apikeys, the rightmost app that it touches: a plan with automatic approval issues the first key.
        return self.write(partial(subscribe, self.tenant, new), status=HTTPStatus.CREATED)

    def partial_update(self, request: Any, tenant_id: str, subscription_id: str) -> HttpResponse:
        subscription = self.get_object()
        fields = self.parse(SubscriptionSerializer, instance=subscription)
        if subscriptions.TERMS & fields.keys():
            require(self.actor, "subscriptions:decide")
        return self.write(partial(subscriptions.update_subscription, subscription, fields), instance=subscription)

    def destroy(self, request: Any, tenant_id: str, subscription_id: str) -> HttpResponse:
        subscription = self.get_object()
        reason = self.parse(ReasonSerializer)["reason"]
        revoke = partial(subscriptions.revoke_subscription, subscription, reason)
        return self.write(revoke, instance=subscription, status=HTTPStatus.NO_CONTENT)

    @extend_schema(summary="Approve a subscription", request=TermsSerializer)
    def approve(self, request: Any, tenant_id: str, subscription_id: str) -> HttpResponse:
        subscription = self.get_object()
        terms = self.parse(TermsSerializer)
        with_key = terms.pop("issue_key")
        # A service of apikeys, the rightmost app that it touches: approving also issues the first key.
        return self.write(partial(grant_access, subscription, terms, with_key=with_key), instance=subscription)

    @extend_schema(summary="Reject a subscription", request=ReasonSerializer)
    def reject(self, request: Any, tenant_id: str, subscription_id: str) -> HttpResponse:
        subscription = self.get_object()
        reason = self.parse(ReasonSerializer)["reason"]
        return self.write(partial(approvals.reject_subscription, subscription, reason), instance=subscription)

    @extend_schema(summary="Suspend a subscription", request=ReasonSerializer)
    def suspend(self, request: Any, tenant_id: str, subscription_id: str) -> HttpResponse:
        subscription = self.get_object()
        reason = self.parse(ReasonSerializer)["reason"]
        return self.write(partial(subscriptions.suspend_subscription, subscription, reason), instance=subscription)

    @extend_schema(summary="Resume a suspended subscription", request=None)
    def resume(self, request: Any, tenant_id: str, subscription_id: str) -> HttpResponse:
        subscription = self.get_object()
        self.parse(NothingSerializer)
        return self.write(partial(subscriptions.resume_subscription, subscription), instance=subscription)

    def etag_version(self, resource: Any) -> str:
        # The newest key is shown with the subscription, and changes without a new version of its row.
        return composite_version(resource.version, resource.api_key_start)

    def reload(self, resource: Model) -> Subscription:
        """Return the subscription as a read shows it, with the start of its newest key."""
        return self.get_queryset().get(pk=resource.pk)
