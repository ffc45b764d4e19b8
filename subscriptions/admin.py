"""Plans and subscriptions in the console, with the actions that decide on a subscription."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant

from apikeys.services.access import grant_access
from catalog.serializers import MAX_REQUESTS_PER_HOUR
from stoa_cp.console.actions import (
    ActionResult,
    Dialog,
    DialogForm,
    ReasonForm,
    datetime_field,
    number_field,
    service_action,
)
from stoa_cp.console.pages import (
    ReadOnlyAdmin,
    SearchedById,
    column,
    deleted_filter,
    format_actor,
    format_limit,
    row_header,
)
from stoa_cp.domain.actors import Actor
from stoa_cp.eventlog.names import named
from subscriptions.models import Approval, Plan, Subscription, SubscriptionStatus
from subscriptions.queries import find_subscription, found_by
from subscriptions.serializers import MAX_QUOTA
from subscriptions.services import approvals, subscriptions

STATUS_COLOURS = {
    SubscriptionStatus.PENDING_APPROVAL: "warning",
    SubscriptionStatus.ACTIVE: "success",
    SubscriptionStatus.SUSPENDED: "info",
    SubscriptionStatus.REJECTED: "danger",
    SubscriptionStatus.REVOKED: "danger",
    SubscriptionStatus.EXPIRED: "",
}


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ("name_column", "tenant", "display_rate_limit", "display_quota", "display_approval", "created_at")
    list_filter = (deleted_filter("deleted_at", "tenant__deleted_at"), "approval")
    list_select_related = ("tenant",)
    search_fields = ("id__exact", "slug", "name", "tenant__name")
    fields = (
        ("id", "tenant"),
        ("slug", "name"),
        ("display_rate_limit", "display_quota"),
        ("approval", "display_author"),
        ("created_at", "deleted_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        rows: QuerySet[Plan] = super().get_queryset(request)
        return rows.annotate(author_name=named("terms_set_by"))

    @column(_("Terms set by"))
    def display_author(self, plan: Any) -> str | None:
        return format_actor(plan.terms_set_by, plan.author_name)

    @column(_("Plan"), ordering="name", header=True)
    def name_column(self, plan: Plan) -> list[str]:
        return row_header(plan.name, plan.slug)

    @column(_("Requests per hour"), ordering="rate_limit")
    def display_rate_limit(self, plan: Plan) -> str:
        return format_limit(plan.rate_limit)

    @column(_("Requests per month"), ordering="quota")
    def display_quota(self, plan: Plan) -> str:
        return format_limit(plan.quota)

    @column(_("Approval"), ordering="approval", colours={Approval.MANUAL: "warning", Approval.AUTOMATIC: "success"})
    def display_approval(self, plan: Plan) -> tuple[str, str]:
        return plan.approval, plan.get_approval_display()


class TermsForm(DialogForm):
    """Asks for the terms of an approval. The fields begin with the terms agreed so far."""

    rate_limit = number_field(
        label=_("Rate limit"),
        help_text=_("requests per hour; empty is unlimited"),
        min_value=1,
        max_value=MAX_REQUESTS_PER_HOUR,
        required=False,
    )
    quota = number_field(
        label=_("Quota"),
        help_text=_("requests per month; empty is unlimited"),
        min_value=1,
        max_value=MAX_QUOTA,
        required=False,
    )
    expires_at = datetime_field(label=_("Expires at"), help_text=_("UTC; empty is never"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        subscription = find_subscription(self.object_id)
        if subscription:
            # What an input of type datetime-local takes: no seconds, no time zone. It is UTC, as the help text says.
            end = f"{subscription.expires_at:%Y-%m-%dT%H:%M}" if subscription.expires_at else None
            self.initial |= {"rate_limit": subscription.rate_limit, "quota": subscription.quota, "expires_at": end}

    def terms(self) -> dict[str, Any]:
        """Return all three, also those that the operator left alone: what is granted is what the dialog showed."""
        return {name: self.cleaned_data[name] for name in subscriptions.TERMS}


@admin.register(Subscription)
class SubscriptionAdmin(SearchedById):
    list_display = (
        "name_column",
        "display_api",
        "plan",
        "display_status",
        "display_rate_limit",
        "display_quota",
        "created_at",
    )
    list_filter = (deleted_filter("tenant__deleted_at"), "status")
    list_select_related = ("api__tenant", "plan")
    search_help_text = _("The id of a subscription, API or tenant, a tenant’s name or an application, in full.")
    actions_row = actions_detail = ("approve", "reject", "suspend", "resume", "revoke")
    fieldsets = (
        (None, {"fields": (("id", "tenant"), ("application", "api"), ("status", "status_reason"))}),
        (_("Terms"), {"fields": (("plan", "expires_at"), ("display_rate_limit", "display_quota"))}),
        (_("Decision"), {"fields": (("display_requester", "created_at"), ("display_decider", "decided_at"))}),
        (_("Callback"), {"fields": ("callback_url",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        rows: QuerySet[Subscription] = super().get_queryset(request)
        return rows.annotate(requester_name=named("created_by"), decider_name=named("decided_by"))

    find = staticmethod(found_by)

    @column(_("Requested by"))
    def display_requester(self, subscription: Any) -> str | None:
        return format_actor(subscription.created_by, subscription.requester_name)

    @column(_("Decided by"))
    def display_decider(self, subscription: Any) -> str | None:
        return format_actor(subscription.decided_by, subscription.decider_name)

    @column(_("Application"), ordering="application", header=True)
    def name_column(self, subscription: Subscription) -> list[str]:
        return row_header(subscription.application, subscription.id)

    @column(_("API"), ordering="api__name")
    def display_api(self, subscription: Subscription) -> str:
        return str(subscription.api)

    @column(_("Status"), ordering="status", colours=STATUS_COLOURS)
    def display_status(self, subscription: Subscription) -> tuple[str, str]:
        return subscription.status, subscription.get_status_display()

    @column(_("Rate limit"), ordering="rate_limit")
    def display_rate_limit(self, subscription: Subscription) -> str:
        return format_limit(subscription.rate_limit)

    @column(_("Quota"), ordering="quota")
    def display_quota(self, subscription: Subscription) -> str:
        return format_limit(subscription.quota)

    @service_action(
        Dialog(
            label=_("Approve"),
            title=_("Approve subscription"),
            icon="check",
            description=_("The consumer gets its API key at once."),
            form=TermsForm,
            variant=ActionVariant.PRIMARY,
            is_available=lambda subscription: subscription.status == SubscriptionStatus.PENDING_APPROVAL,
        )
    )
    def approve(self, subscription: Subscription, form: TermsForm, by: Actor) -> ActionResult:
        issued = grant_access(subscription, form.terms(), by=by)
        sentence = _("%(application)s is approved. This is its API key:")
        return ActionResult(sentence % {"application": subscription.application}, issued.secrets["api_key"])

    @service_action(
        Dialog(
            label=_("Reject"),
            title=_("Reject subscription"),
            icon="close",
            description=_("The application may ask again."),
            form=ReasonForm,
            variant=ActionVariant.DANGER,
            is_available=lambda subscription: subscription.status == SubscriptionStatus.PENDING_APPROVAL,
        )
    )
    def reject(self, subscription: Subscription, form: ReasonForm, by: Actor) -> ActionResult:
        approvals.reject_subscription(subscription, form.cleaned_data["reason"], by=by)
        return ActionResult(_("%(application)s is rejected.") % {"application": subscription.application})

    @service_action(
        Dialog(
            label=_("Suspend"),
            title=_("Suspend subscription"),
            icon="pause",
            description=_("Its keys are refused until it is resumed."),
            form=ReasonForm,
            is_available=lambda subscription: subscription.status == SubscriptionStatus.ACTIVE,
        )
    )
    def suspend(self, subscription: Subscription, form: ReasonForm, by: Actor) -> ActionResult:
        subscriptions.suspend_subscription(subscription, form.cleaned_data["reason"], by=by)
        return ActionResult(_("%(application)s is suspended.") % {"application": subscription.application})

    @service_action(
        Dialog(
            label=_("Resume"),
            title=_("Resume subscription"),
            icon="play_arrow",
            description=_("Its keys work again at once."),
            is_available=lambda subscription: subscription.status == SubscriptionStatus.SUSPENDED,
        )
    )
    def resume(self, subscription: Subscription, _form: DialogForm, by: Actor) -> ActionResult:
        subscriptions.resume_subscription(subscription, by=by)
        return ActionResult(_("%(application)s is active again.") % {"application": subscription.application})

    @service_action(
        Dialog(
            label=_("Revoke"),
            title=_("Revoke subscription"),
            icon="block",
            description=_("Every key of it stops at once. This cannot be undone."),
            form=ReasonForm,
            variant=ActionVariant.DANGER,
            is_available=lambda subscription: (
                subscription.status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED)
            ),
        )
    )
    def revoke(self, subscription: Subscription, form: ReasonForm, by: Actor) -> ActionResult:
        subscriptions.revoke_subscription(subscription, form.cleaned_data["reason"], by=by)
        return ActionResult(_("%(application)s is revoked.") % {"application": subscription.application})
