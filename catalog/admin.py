"""APIs and gateways in the console, with the actions that change and delete them, and that issue gateways' tokens."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.forms import CharField
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from catalog.models import Api, ApiStatus, Gateway
from catalog.queries import found_by, live_gateway
from catalog.serializers import GatewaySerializer, NewGatewaySerializer
from catalog.services import gateways
from catalog.services.apis import update_api
from stoa_cp.console.actions import ActionResult, Dialog, DialogForm, flag_field, service_action, text_field
from stoa_cp.console.pages import DeletedFilter, ReadOnlyAdmin, SearchedById, column, deleted_filter, row_header
from stoa_cp.domain.actors import Actor
from subscriptions.services.subscriptions import delete_api_and_subscriptions

BINDING = ("allowed_ips", "tenants")
STATUS_COLOURS = {ApiStatus.ACTIVE: "success", ApiStatus.INACTIVE: "", ApiStatus.DEPRECATED: "warning"}


def is_live(row: Api | Gateway) -> bool:
    """Tell whether the row is not deleted."""
    # Deleted rows stay in the console, for questions about the past; their actions are hidden.
    return row.deleted_at is None


class DeleteApiForm(DialogForm):
    """Asks whether live subscriptions are revoked too."""

    cascade = flag_field(
        label=_("Revoke its live subscriptions"),
        help_text=_("Without this, an API that is still in use stays."),
    )


@admin.register(Api)
class ApiAdmin(SearchedById):
    list_display = ("name_column", "tenant", "path", "upstream_url", "display_status", "created_at")
    list_filter = (deleted_filter("deleted_at", "tenant__deleted_at"), "status", "auth_required")
    list_select_related = ("tenant",)
    search_help_text = _("The id of an API or a tenant, or the name of one, in full.")
    actions_row = actions_detail = ("activate", "deactivate", "delete_api")
    fieldsets = (
        (None, {"fields": (("id", "tenant"), ("name", "api_version"), ("status", "description"))}),
        (
            _("Addresses"),
            {
                "fields": (
                    ("path", "public_url"),
                    ("upstream_url", "sandbox_url"),
                    ("openapi_url", "upstream_refused_at"),
                )
            },
        ),
        (_("Access"), {"fields": (("auth_required", "requests_per_hour"),)}),
        (_("Dates"), {"fields": (("created_at", "updated_at"), ("deprecated_at", "sunset_at"), "deleted_at")}),
    )

    find = staticmethod(found_by)

    @column(_("API"), ordering="name", header=True)
    def name_column(self, api: Api) -> list[str]:
        return row_header(f"{api.name} {api.api_version}", api.id)

    @column(_("Status"), ordering="status", colours=STATUS_COLOURS)
    def display_status(self, api: Api) -> tuple[str, str]:
        return api.status, api.get_status_display()

    @service_action(
        Dialog(
            label=_("Activate"),
            title=_("Activate the API"),
            icon="toggle_on",
            description=_("Gateways let calls to it through."),
            is_available=lambda api: is_live(api) and api.status != ApiStatus.ACTIVE,
        )
    )
    def activate(self, api: Api, _form: DialogForm, by: Actor) -> ActionResult:
        update_api(api, {"status": ApiStatus.ACTIVE}, by=by)
        return ActionResult(_("%(name)s is active.") % {"name": api.name})

    @service_action(
        Dialog(
            label=_("Deactivate"),
            title=_("Deactivate the API"),
            icon="toggle_off",
            description=_("Gateways refuse calls to it until it is activated again."),
            is_available=lambda api: is_live(api) and api.status != ApiStatus.INACTIVE,
        )
    )
    def deactivate(self, api: Api, _form: DialogForm, by: Actor) -> ActionResult:
        update_api(api, {"status": ApiStatus.INACTIVE}, by=by)
        return ActionResult(_("%(name)s is inactive.") % {"name": api.name})

    @service_action(
        Dialog(
            label=_("Delete"),
            title=_("Delete the API"),
            icon="delete",
            description=_("Its name and path are free again. This cannot be undone."),
            form=DeleteApiForm,
            variant=ActionVariant.DANGER,
            is_available=is_live,
        )
    )
    def delete_api(self, api: Api, form: DeleteApiForm, by: Actor) -> ActionResult:
        delete_api_and_subscriptions(api, cascade=form.cleaned_data["cascade"], by=by)
        return ActionResult(_("%(name)s is deleted.") % {"name": api.name})


class NewGatewayForm(DialogForm):
    """Asks for the gateway's name. It is checked by the serializer of ``POST /v1/gateways``."""

    name = text_field(label=_("Name"), help_text=_("Such as edge-1."))

    def clean(self) -> Mapping[str, Any]:
        return self.check_by(NewGatewaySerializer(data={"name": self.cleaned_data.get("name")}))


class BindingForm(DialogForm):
    """Asks for the networks and tenants of a gateway. They are checked by the serializer of ``PATCH /v1/gateways``."""

    allowed_ips = CharField(
        label=_("Networks"),
        help_text=_("From which its token is accepted, such as 198.51.100.0/24, one per line; empty is anywhere."),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    tenants = CharField(
        label=_("Tenants"),
        help_text=_("Whose calls it may ask about, by name or id, one per line; empty is all."),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        gateway = live_gateway(self.object_id)
        self.initial |= {name: "\n".join(getattr(gateway, name, None) or ()) for name in BINDING}

    def clean(self) -> Mapping[str, Any]:
        given = {name: self.cleaned_data.get(name, "").split() or None for name in BINDING}
        return self.check_by(GatewaySerializer(data=given, partial=True))


@admin.register(Gateway)
class GatewayAdmin(ReadOnlyAdmin):
    list_display = ("name_column", "last_seen_at", "created_at")
    list_filter = (DeletedFilter,)
    search_fields = ("id__exact", "name")
    actions_list = ("create",)
    actions_row = actions_detail = ("bind", "rotate_token", "delete_gateway")
    fieldsets = (
        (None, {"fields": (("id", "name"), "last_seen_at")}),
        (_("Access"), {"fields": (("allowed_ips", "tenants"),)}),
        (_("Dates"), {"fields": (("created_at", "updated_at"), "deleted_at")}),
    )

    @column(_("Gateway"), ordering="name", header=True)
    def name_column(self, gateway: Gateway) -> list[str]:
        return row_header(gateway.name, gateway.id)

    @service_action(
        Dialog(
            label=_("Register gateway"),
            title=_("Register a gateway"),
            icon="add",
            description=_("It gets a token, which is shown once."),
            submit=_("Register"),
            form=NewGatewayForm,
            variant=ActionVariant.PRIMARY,
        )
    )
    def create(self, _row: None, form: NewGatewayForm, by: Actor) -> ActionResult:
        issued = gateways.create_gateway(form.cleaned_data["name"], by=by)
        gateway, token = issued.resource, issued.secret
        return ActionResult(_("%(name)s is registered. This is its token:") % {"name": gateway.name}, token)

    @service_action(
        Dialog(
            label=_("Bind"),
            title=_("Bind the gateway"),
            icon="link",
            description=_("Its token is refused from other networks and for other tenants."),
            form=BindingForm,
            is_available=is_live,
        )
    )
    def bind(self, gateway: Gateway, form: BindingForm, by: Actor) -> ActionResult:
        gateways.update_gateway(gateway, form.cleaned_data, by=by)
        return ActionResult(_("The binding of %(name)s is changed.") % {"name": gateway.name})

    @service_action(
        Dialog(
            label=_("Rotate token"),
            title=_("Rotate the gateway’s token"),
            icon="autorenew",
            description=_("The old token is refused at once; the new one is shown once."),
            is_available=is_live,
        )
    )
    def rotate_token(self, gateway: Gateway, _form: DialogForm, by: Actor) -> ActionResult:
        issued = gateways.rotate_gateway_token(gateway, by=by)
        gateway, token = issued.resource, issued.secret
        return ActionResult(_("%(name)s has a new token:") % {"name": gateway.name}, token)

    @service_action(
        Dialog(
            label=_("Withdraw"),
            title=_("Withdraw the gateway"),
            icon="delete",
            description=_("Its token is refused at once. This cannot be undone."),
            variant=ActionVariant.DANGER,
            is_available=is_live,
        )
    )
    def delete_gateway(self, gateway: Gateway, _form: DialogForm, by: Actor) -> ActionResult:
        gateways.delete_gateway(gateway, by=by)
        return ActionResult(_("%(name)s is withdrawn.") % {"name": gateway.name})
