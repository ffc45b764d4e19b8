"""Tenants in the console, with the actions that create, change, suspend, resume and delete them."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.forms import ChoiceField, EmailField, FloatField
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget

from stoa_cp.console.actions import (
    ActionResult,
    Dialog,
    DialogForm,
    ReasonForm,
    number_field,
    service_action,
    text_field,
)
from stoa_cp.console.pages import DeletedFilter, ReadOnlyAdmin, column, row_header
from stoa_cp.domain.actors import Actor
from tenants import services
from tenants.models import MAX_CALLS_PER_HOUR, MAX_MULTIPLIER, MIN_MULTIPLIER, Tenant, TenantStatus, Tier
from tenants.queries import live_tenant
from tenants.serializers import NewTenantSerializer

STATUS_COLOURS = {
    TenantStatus.PROVISIONING: "info",
    TenantStatus.ACTIVE: "success",
    TenantStatus.SUSPENDED: "warning",
    TenantStatus.DELETED: "danger",
}
TIER_COLOURS = {Tier.FREE: "", Tier.STARTER: "info", Tier.BUSINESS: "primary", Tier.ENTERPRISE: "success"}
NEW_TENANT_FIELDS = ("name", "tier", "admin_email", "region")
LIMITS = ("tier", "rate_limit_multiplier", "rate_limit_per_hour")


class NewTenantForm(DialogForm):
    """Asks for the fields of a new tenant. They are checked by the serializer of ``POST /v1/tenants``."""

    name = text_field(label=_("Name"), help_text=_("A DNS label, part of the gateway’s URL. It never changes."))
    tier = ChoiceField(label=_("Tier"), choices=Tier, widget=UnfoldAdminSelectWidget())
    admin_email = EmailField(label=_("Administrator’s address"), widget=UnfoldAdminEmailInputWidget())
    region = ChoiceField(
        label=_("Region"),
        choices=lambda: [(region, region) for region in settings.STOA_REGIONS],
        widget=UnfoldAdminSelectWidget(),
    )

    def clean(self) -> Mapping[str, Any]:
        given = {name: self.cleaned_data[name] for name in NEW_TENANT_FIELDS if name in self.cleaned_data}
        return self.check_by(NewTenantSerializer(data=given))


class LimitsForm(DialogForm):
    """Asks for the tier and the limits that the platform sets beside it."""

    tier = ChoiceField(label=_("Tier"), choices=Tier, widget=UnfoldAdminSelectWidget())
    rate_limit_multiplier = FloatField(
        label=_("Multiplier"),
        help_text=_("Of the tier’s calls per hour, 0.1 to 100."),
        min_value=MIN_MULTIPLIER,
        max_value=MAX_MULTIPLIER,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "0.1"}),
    )
    rate_limit_per_hour = number_field(
        label=_("Calls per hour"),
        help_text=_("For the enterprise tier only; empty is its default."),
        min_value=1,
        max_value=MAX_CALLS_PER_HOUR,
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tenant = live_tenant(self.object_id)
        self.initial |= {name: getattr(tenant, name, None) for name in LIMITS}


# `is_available` only hides an action that its service would refuse. The service checks again under the lock, because
# the row may change while the dialog is open.
@admin.register(Tenant)
class TenantAdmin(ReadOnlyAdmin):
    list_display = ("name_column", "display_tier", "display_status", "region", "admin_email", "created_at")
    list_filter = (DeletedFilter, "status", "tier", "region")
    search_fields = ("id__exact", "name", "admin_email")
    actions_list = ("create",)
    actions_row = actions_detail = ("change_limits", "suspend", "resume", "delete_tenant")
    fieldsets = (
        (None, {"fields": (("id", "name"), ("status", "status_reason"))}),
        (_("Contact"), {"fields": (("admin_email", "region"), "gateway_url")}),
        (_("Limits"), {"fields": (("tier", "calls_per_hour"), ("rate_limit_multiplier", "rate_limit_per_hour"))}),
        (_("Dates"), {"fields": (("created_at", "updated_at"), "deleted_at")}),
    )

    @column(_("Name"), ordering="name", header=True)
    def name_column(self, tenant: Tenant) -> list[str]:
        return row_header(tenant.name, tenant.id)

    @column(_("Tier"), ordering="tier", colours=TIER_COLOURS)
    def display_tier(self, tenant: Tenant) -> tuple[str, str]:
        return tenant.tier, tenant.get_tier_display()

    @column(_("Status"), ordering="status", colours=STATUS_COLOURS)
    def display_status(self, tenant: Tenant) -> tuple[str, str]:
        return tenant.status, tenant.get_status_display()

    @service_action(
        Dialog(
            label=_("New tenant"),
            title=_("Create a tenant"),
            icon="add",
            description=_("It is set up in the background, with three plans."),
            submit=_("Create"),
            form=NewTenantForm,
            variant=ActionVariant.PRIMARY,
        )
    )
    def create(self, _row: None, form: NewTenantForm, by: Actor) -> ActionResult:
        tenant = services.create_tenant(services.NewTenant(**form.cleaned_data), by=by)
        return ActionResult(_("%(name)s is being set up.") % {"name": tenant.name})

    @service_action(
        Dialog(
            label=_("Change limits"),
            title=_("Change tier and limits"),
            icon="speed",
            description=_("They hold from the next call on; what was counted this hour stays."),
            form=LimitsForm,
            is_available=lambda tenant: tenant.status != TenantStatus.DELETED,
        )
    )
    def change_limits(self, tenant: Tenant, form: LimitsForm, by: Actor) -> ActionResult:
        tenant = services.update_tenant(tenant, {name: form.cleaned_data[name] for name in LIMITS}, by=by)
        return ActionResult(_("%(name)s has its new limits.") % {"name": tenant.name})

    @service_action(
        Dialog(
            label=_("Suspend"),
            title=_("Suspend the tenant"),
            icon="pause",
            description=_("All of its keys are refused until it is resumed."),
            form=ReasonForm,
            is_available=lambda tenant: tenant.status == TenantStatus.ACTIVE,
        )
    )
    def suspend(self, tenant: Tenant, form: ReasonForm, by: Actor) -> ActionResult:
        services.suspend_tenant(tenant, form.cleaned_data["reason"], by=by)
        return ActionResult(_("%(name)s is suspended.") % {"name": tenant.name})

    @service_action(
        Dialog(
            label=_("Resume"),
            title=_("Resume the tenant"),
            icon="play_arrow",
            description=_("Its keys work again at once."),
            is_available=lambda tenant: tenant.status == TenantStatus.SUSPENDED,
        )
    )
    def resume(self, tenant: Tenant, _form: DialogForm, by: Actor) -> ActionResult:
        services.resume_tenant(tenant, by=by)
        return ActionResult(_("%(name)s is active again.") % {"name": tenant.name})

    @service_action(
        Dialog(
            label=_("Delete"),
            title=_("Delete the tenant"),
            icon="delete",
            description=_("Its APIs, subscriptions, keys and webhooks end with it. This cannot be undone."),
            variant=ActionVariant.DANGER,
            is_available=lambda tenant: tenant.status != TenantStatus.DELETED,
        )
    )
    def delete_tenant(self, tenant: Tenant, _form: DialogForm, by: Actor) -> ActionResult:
        services.delete_tenant(tenant, by=by)
        return ActionResult(_("%(name)s is deleted.") % {"name": tenant.name})
