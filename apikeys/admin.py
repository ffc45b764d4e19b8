"""API keys and meters in the console: rotate and revoke keys, reset meters. No page shows a secret or a digest."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.enums import ActionVariant

from apikeys.decisions import meters
from apikeys.models import ApiKey, KeySecret, KeyStatus, Meter, Mode
from apikeys.queries import found_by
from apikeys.services import keys
from apikeys.services.revocations import revoke_key
from stoa_cp.console.actions import ActionResult, Dialog, DialogForm, flag_field, number_field, service_action
from stoa_cp.console.pages import (
    LargeTableAdmin,
    SearchedById,
    column,
    deleted_filter,
    format_datetime,
    format_number,
    row_header,
)
from stoa_cp.domain.actors import Actor

STATUS_COLOURS = {
    KeyStatus.ACTIVE: "success",
    KeyStatus.ROTATING: "info",
    KeyStatus.EXPIRED: "warning",
    KeyStatus.REVOKED: "danger",
}
HOUR_SECONDS = 3600
# An ApiKey with the annotations of ``with_status``, which no type describes.
AnnotatedKey = Any


class RotationForm(DialogForm):
    """Asks how long the old secret stays valid."""

    overlap_hours = number_field(
        label=_("Overlap"),
        help_text=_("hours during which the old secret still works"),
        min_value=0,
        max_value=keys.MAX_OVERLAP_SECONDS // HOUR_SECONDS,
        initial=keys.DEFAULT_OVERLAP_SECONDS // HOUR_SECONDS,
    )
    force = flag_field(label=_("End a rotation that is under way"))


@admin.register(ApiKey)
class ApiKeyAdmin(SearchedById):
    list_display = (
        "name_column",
        "application",
        "display_status",
        "display_mode",
        "used_at",
        "expires_at",
        "created_at",
    )
    list_filter = (deleted_filter("tenant__deleted_at"), "mode")
    list_select_related = ("subscription__tenant",)
    search_help_text = _(
        "The id of a key, a subscription or a tenant, a tenant’s name or an application, in full; or how a key begins."
    )
    actions_row = actions_detail = ("rotate", "finish_rotation", "revoke")
    fieldsets = (
        (None, {"fields": (("id", "name"), ("start", "current_status"), ("mode", "subscription"))}),
        (_("Rotation"), {"fields": ("old_secret_until",)}),
        (_("Allowed use"), {"fields": ("from_addresses", "by_methods", "at_paths")}),
        (_("Dates"), {"fields": (("created_at", "used_at"), ("expires_at", "revoked_at"), "found_in_public")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        rows: QuerySet[ApiKey] = super().get_queryset(request).with_status()
        return rows

    find = staticmethod(found_by)

    @column(_("Key"), ordering="name", header=True)
    def name_column(self, key: ApiKey) -> list[str]:
        return row_header(key.name, key.start)

    @column(_("Application"), ordering="subscription__application")
    def application(self, key: ApiKey) -> str:
        return f"{key.subscription.tenant.name}/{key.subscription.application}"

    @column(_("Status"), ordering="status", colours=STATUS_COLOURS)
    def display_status(self, key: AnnotatedKey) -> tuple[str, str]:
        status = KeyStatus(key.status)
        return status, str(status.label)

    @column(_("Status"))
    def current_status(self, key: AnnotatedKey) -> str:
        return str(KeyStatus(key.status).label)

    @column(_("Mode"), ordering="mode", colours={Mode.LIVE: "primary", Mode.TEST: ""})
    def display_mode(self, key: ApiKey) -> tuple[str, str]:
        return key.mode, key.get_mode_display()

    @column(_("Last used"), ordering="last_used_at")
    def used_at(self, key: AnnotatedKey) -> str | None:
        return format_datetime(key.last_used_at)

    @column(_("Found in public"))
    def found_in_public(self, key: AnnotatedKey) -> str | None:
        return format_datetime(key.leaked_at)

    @column(_("Old secret valid until"))
    def old_secret_until(self, key: AnnotatedKey) -> str | None:
        return format_datetime(key.previous_valid_until)

    @column(_("From the networks"))
    def from_addresses(self, key: ApiKey) -> str | None:
        return _listed(key.allowed_ips)

    @column(_("By the methods"))
    def by_methods(self, key: ApiKey) -> str | None:
        return _listed(key.allowed_methods)

    @column(_("At the paths"))
    def at_paths(self, key: ApiKey) -> str | None:
        return _listed(key.allowed_paths)

    @service_action(
        Dialog(
            label=_("Rotate"),
            title=_("Rotate API key"),
            icon="autorenew",
            description=_("The key gets a new secret, which is shown once."),
            form=RotationForm,
            is_available=lambda key: key.status in (KeyStatus.ACTIVE, KeyStatus.ROTATING),
        )
    )
    def rotate(self, key: ApiKey, form: RotationForm, by: Actor) -> ActionResult:
        rotation = form.cleaned_data
        overlap_seconds = rotation["overlap_hours"] * HOUR_SECONDS
        issued = keys.rotate_key(key, overlap_seconds, force=rotation["force"], by=by)
        key, secret = issued.resource, issued.secret
        return ActionResult(_("%(name)s has a new secret:") % {"name": key.name}, secret)

    @service_action(
        Dialog(
            label=_("Finish rotation"),
            title=_("Finish the rotation"),
            icon="done_all",
            description=_("The old secret is refused at once."),
            is_available=lambda key: key.status == KeyStatus.ROTATING,
        )
    )
    def finish_rotation(self, key: ApiKey, _form: DialogForm, by: Actor) -> ActionResult:
        keys.finish_rotation(key, by=by)
        return ActionResult(_("The old secret of %(name)s is retired.") % {"name": key.name})

    @service_action(
        Dialog(
            label=_("Revoke"),
            title=_("Revoke API key"),
            icon="block",
            description=_("It is refused at once and for good."),
            variant=ActionVariant.DANGER,
            is_available=lambda key: key.status != KeyStatus.REVOKED,
        )
    )
    def revoke(self, key: ApiKey, _form: DialogForm, by: Actor) -> ActionResult:
        revoke_key(key, by=by)
        return ActionResult(_("%(name)s is revoked.") % {"name": key.name})


def _listed(allowed: list[str] | None) -> str | None:
    """Return what is allowed; None, for anything, is a dash in the console."""
    return None if allowed is None else ", ".join(allowed)


@admin.register(KeySecret)
class KeySecretAdmin(LargeTableAdmin):
    list_display = ("key", "created_at", "last_used_at", "valid_until")
    list_select_related = ("key",)
    search_fields = ("key__id__exact",)
    ordering = ("-id",)
    fields = ("key", ("created_at", "valid_until"), "last_used_at")  # not the digest: with a pepper it tells a guess


@admin.register(Meter)
class MeterAdmin(LargeTableAdmin):
    list_display = ("subject", "tenant", "hour", "calls_this_hour", "month", "calls_this_month")
    list_select_related = ("tenant",)
    search_fields = ("subject__exact", "tenant__exact")
    search_help_text = _("The id of a subscription, an API or a tenant, in full.")
    actions_row = actions_detail = ("reset",)
    fields = (
        ("subject", "tenant"),
        ("hour", "calls_this_hour"),
        ("month", "calls_this_month"),
        ("announced", "reset_at"),
    )

    @column(_("Calls in that hour"), ordering="hour_calls")
    def calls_this_hour(self, meter: Meter) -> str:
        return format_number(meter.hour_calls)

    @column(_("Calls in that month"), ordering="month_calls")
    def calls_this_month(self, meter: Meter) -> str:
        return format_number(meter.month_calls)

    @column(_("Announced use of the quota"))
    def announced(self, meter: Meter) -> str:
        return f"{meter.announced_percent} %"

    @service_action(
        Dialog(
            label=_("Reset"),
            title=_("Reset the meter"),
            icon="restart_alt",
            description=_("Its hour and its month begin again at zero. The metrics keep what happened."),
        )
    )
    def reset(self, meter: Meter, _form: DialogForm, by: Actor) -> ActionResult:
        meters.reset_meter(meter, by=by)
        return ActionResult(_("The meter of %(subject)s is at zero.") % {"subject": meter.subject})
