"""The console's pages of webhooks and deliveries: every attempt, and the actions on them."""

import json

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from stoa_cp.console.actions import ActionResult, Dialog, DialogForm, ReasonForm, service_action
from stoa_cp.console.pages import DeletedFilter, LargeTableAdmin, ReadOnlyAdmin, column, row_header
from stoa_cp.domain.actors import Actor
from stoa_cp.eventlog.models import Event
from webhooks import services
from webhooks.delivery.replay import redeliver
from webhooks.models import Attempt, Delivery, DeliveryStatus, Replay, Webhook, WebhookStatus

STATUS_COLOURS = {WebhookStatus.ENABLED: "success", WebhookStatus.DISABLED: "danger"}
DELIVERY_COLOURS = {
    DeliveryStatus.PENDING: "info",
    DeliveryStatus.DELIVERED: "success",
    DeliveryStatus.FAILED: "danger",
}


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = (
        "name_column",
        "tenant",
        "display_status",
        "disabled_reason",
        "failure_count",
        "failing_since",
        "created_at",
    )
    list_filter = (DeletedFilter, "status")
    list_select_related = ("tenant",)
    search_fields = ("id__exact", "url", "tenant__name", "tenant__id__exact", "subscription__id__exact")
    actions_row = actions_detail = ("enable", "disable", "send_test")
    fieldsets = (
        (None, {"fields": (("id", "tenant"), ("url", "subscription"), ("display_events", "description"))}),
        (_("Health"), {"fields": (("status", "disabled_reason"), ("failing_since", "failure_count"))}),
        (_("Secret"), {"fields": (("secret_hint", "previous_secret_valid_until"),)}),
        (_("Dates"), {"fields": (("created_at", "updated_at"), "deleted_at")}),
    )

    @column(_("URL"), ordering="url", header=True)
    def name_column(self, webhook: Webhook) -> list[str]:
        return row_header(webhook.url, webhook.id)

    @column(_("Status"), ordering="status", colours=STATUS_COLOURS)
    def display_status(self, webhook: Webhook) -> tuple[str, str]:
        return webhook.status, webhook.get_status_display()

    @column(_("Events"))
    def display_events(self, webhook: Webhook) -> str:
        return ", ".join(webhook.events)

    @service_action(
        Dialog(
            label=_("Enable"),
            title=_("Enable the webhook"),
            icon="play_arrow",
            description=_("What is pending is delivered now."),
            is_available=lambda webhook: webhook.status == WebhookStatus.DISABLED and webhook.deleted_at is None,
        )
    )
    def enable(self, webhook: Webhook, _form: DialogForm, by: Actor) -> ActionResult:
        services.update_webhook(webhook, {"status": WebhookStatus.ENABLED}, by=by)
        return ActionResult(_("The webhook is enabled."))

    @service_action(
        Dialog(
            label=_("Disable"),
            title=_("Disable the webhook"),
            icon="pause",
            description=_("Nothing is sent until it is enabled; new events are not kept for it."),
            form=ReasonForm,
            is_available=lambda webhook: webhook.status == WebhookStatus.ENABLED and webhook.deleted_at is None,
        )
    )
    def disable(self, webhook: Webhook, form: ReasonForm, by: Actor) -> ActionResult:
        services.disable_webhook(webhook, form.cleaned_data["reason"], by=by)
        return ActionResult(_("The webhook is disabled."))

    @service_action(
        Dialog(
            label=_("Send a test"),
            title=_("Send a test event"),
            icon="send",
            is_available=lambda webhook: webhook.status == WebhookStatus.ENABLED and webhook.deleted_at is None,
        )
    )
    def send_test(self, webhook: Webhook, _form: DialogForm, by: Actor) -> ActionResult:
        delivery = services.send_test(webhook, by=by)
        return ActionResult(_("%(id)s is on its way.") % {"id": delivery.id})


class AttemptInline(TabularInline):  # type: ignore[misc]  # the package publishes no types
    """Every attempt of a delivery."""

    model = Attempt
    fields = ("number", "attempted_at", "duration_ms", "response_status", "error", "response_excerpt")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False


@admin.register(Replay)
class ReplayAdmin(ReadOnlyAdmin):
    list_display = ("webhook", "tenant", "since", "until", "continued_at")
    list_select_related = ("webhook", "tenant")
    ordering = ("continued_at",)
    fields = (("webhook", "tenant"), ("since", "until"), ("next_sequence", "last_sequence"), "continued_at")


@admin.register(Delivery)
class DeliveryAdmin(LargeTableAdmin):
    list_display = ("name_column", "webhook", "tenant", "display_status", "attempt", "next_attempt_at", "created_at")
    list_filter = ("status",)
    list_select_related = ("webhook", "event", "tenant")
    # By age only, for which there is an index. By any other column PostgreSQL would sort millions of rows: 9 s.
    sortable_by = ("created_at",)
    # Only what has an index: see ``get_search_results``, which Django calls if there are any fields.
    search_fields = ("id__exact",)
    search_help_text = _("The id of a delivery, an event, a webhook or a tenant, in full.")
    actions_row = actions_detail = ("send_again",)
    inlines = (AttemptInline,)
    fieldsets = (
        (None, {"fields": (("id", "event"), ("webhook", "tenant"))}),
        (_("State"), {"fields": (("status", "next_attempt_at"), ("attempt", "created_at"))}),
        (_("Body"), {"fields": ("display_body",)}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """Find by a whole id. Its prefix tells what it is of, and so the index to use: an OR of all would use none."""
        term = search_term.strip()
        match term.partition("-")[0]:
            case "":
                found = queryset
            case "whk":
                found = queryset.filter(webhook=term)
            case "evt":
                # There is no index of events alone, but one of webhooks and events.
                tenant = Event.objects.filter(pk=term).values("tenant_id")
                found = queryset.filter(webhook__tenant_id__in=tenant, event=term)
            case "ten":
                found = queryset.filter(webhook__tenant=term)
            case _:
                found = queryset.filter(pk=term)
        return found, False

    @column(_("Event"), header=True)
    def name_column(self, delivery: Delivery) -> list[str]:
        return row_header(delivery.event.type, delivery.id)

    @column(_("Status"), ordering="status", colours=DELIVERY_COLOURS)
    def display_status(self, delivery: Delivery) -> tuple[str, str]:
        return delivery.status, delivery.get_status_display()

    @column(_("Body"))
    def display_body(self, delivery: Delivery) -> SafeString:
        body = json.dumps(json.loads(delivery.body), indent=2, ensure_ascii=False)
        return format_html('<pre class="font-mono text-xs whitespace-pre-wrap">{}</pre>', body)

    # Offered in every state. If a worker is sending the delivery now, the service refuses, and the page shows why.
    @service_action(
        Dialog(
            label=_("Send again"),
            title=_("Send the delivery again"),
            icon="replay",
            description=_("The receiver sees the same webhook-id, and may ignore what it has seen."),
        )
    )
    def send_again(self, delivery: Delivery, _form: DialogForm, by: Actor) -> ActionResult:
        redeliver(delivery, by=by)
        return ActionResult(_("%(id)s is on its way.") % {"id": delivery.id})
