"""The admin's pages for the kernel's models: operators, the event log, counters, leases, idempotency records.

They stand in the project ring, because each kernel package has its rows and none of them has a page.
"""

import json

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from stoa_cp.caching.models import CacheLease
from stoa_cp.console.operators import OperatorAdmin, OperatorSessionAdmin
from stoa_cp.console.pages import LargeTableAdmin, ReadOnlyAdmin, column, format_actor, format_datetime
from stoa_cp.eventlog.models import ActorName, Event, EventChain, EventCheckpoint, OutboxEntry
from stoa_cp.eventlog.names import named
from stoa_cp.identity.models import SigningKeySet
from stoa_cp.operators.models import OperatorSession
from stoa_cp.ratelimit.models import Counter
from stoa_cp.rest.models import IdempotencyRecord

admin.site.index_title = _("Dashboard")
admin.site.unregister(User)
# Nothing is granted to groups: rights come from the identity provider's roles, or the user is a superuser.
admin.site.unregister(Group)


admin.site.register(User, OperatorAdmin)
admin.site.register(OperatorSession, OperatorSessionAdmin)


@admin.register(Event)
class EventAdmin(LargeTableAdmin):
    # Exact matches only, and only of columns with an index: PostgreSQL combines these. One column without, or a search
    # for a part of a text, would read a log of millions of rows.
    list_display = ("timestamp", "display_type", "tenant_id", "sequence", "display_actor", "request_id")
    list_display_links = ("display_type",)
    search_fields = ("id__exact", "tenant_id__exact", "type__exact", "actor__exact", "request_id__exact")
    search_help_text = _("An event’s id, a tenant’s id, a type, an actor or a request id, in full.")
    ordering = ("-timestamp",)
    fieldsets = (
        (None, {"fields": (("id", "type"), ("tenant_id", "sequence"))}),
        (_("Who and when"), {"fields": (("timestamp", "display_actor"), ("address", "request_id"))}),
        (_("What"), {"fields": ("display_data", "display_changes")}),
        (_("Chain"), {"fields": ("display_previous_hash", "display_hash")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        events: QuerySet[Event] = super().get_queryset(request)
        return events.annotate(actor_name=named("actor"))

    @column(_("Actor"), ordering="actor")
    def display_actor(self, event: Event) -> str | None:
        return format_actor(event.actor, getattr(event, "actor_name", None))

    @column(_("Type"), ordering="type", colours={})
    def display_type(self, event: Event) -> str:
        return event.type

    @column(_("Data"))
    def display_data(self, event: Event) -> SafeString:
        return _as_code(json.dumps(event.data, indent=2, ensure_ascii=False))

    @column(_("Changes"))
    def display_changes(self, event: Event) -> SafeString:
        return _as_code(json.dumps(event.changes, indent=2, ensure_ascii=False))

    @column(_("Previous hash"))
    def display_previous_hash(self, event: Event) -> str:
        return bytes(event.previous_hash).hex()

    @column(_("Hash"))
    def display_hash(self, event: Event) -> str:
        return bytes(event.hash).hex()


@admin.register(EventChain)
class EventChainAdmin(ReadOnlyAdmin):
    list_display = ("tenant_id", "sequence", "display_hash")
    search_fields = ("tenant_id__exact",)
    ordering = ("tenant_id",)
    fields = ("tenant_id", "sequence", "display_hash")

    @column(_("Hash"))
    def display_hash(self, chain: EventChain) -> str:
        return bytes(chain.hash).hex()


@admin.register(ActorName)
class ActorNameAdmin(LargeTableAdmin):
    list_display = ("name", "id")
    search_fields = ("id__exact", "name")
    ordering = ("name", "id")


@admin.register(EventCheckpoint)
class EventCheckpointAdmin(ReadOnlyAdmin):
    list_display = ("tenant_id", "sequence", "at", "key_id")
    search_fields = ("tenant_id__exact",)
    ordering = ("tenant_id",)
    fields = ("tenant_id", "sequence", "display_hash", "at", "key_id", "signature")

    @column(_("Hash"))
    def display_hash(self, checkpoint: EventCheckpoint) -> str:
        return bytes(checkpoint.hash).hex()


@admin.register(OutboxEntry)
class OutboxEntryAdmin(LargeTableAdmin):
    list_display = ("event_type", "tenant", "happened_at")
    list_select_related = ("event",)
    ordering = ("event__timestamp",)

    @column(_("Event"))
    def event_type(self, dispatch: OutboxEntry) -> str:
        return dispatch.event.type

    @column(_("Tenant"))
    def tenant(self, dispatch: OutboxEntry) -> str:
        return dispatch.event.tenant_id

    @column(_("Since"))
    def happened_at(self, dispatch: OutboxEntry) -> str | None:
        return format_datetime(dispatch.event.timestamp)


@admin.register(Counter)
class CounterAdmin(LargeTableAdmin):
    list_display = ("key", "value", "expires_at")
    search_fields = ("key__exact",)
    ordering = ("key",)


@admin.register(CacheLease)
class CacheLeaseAdmin(LargeTableAdmin):
    list_display = ("holder", "valid_until", "confirmed_epoch")
    ordering = ("holder",)


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(LargeTableAdmin):
    list_display = ("created_at", "status")
    list_display_links = None  # a page of its own would show nothing: the rest is encrypted or a digest
    ordering = ("-created_at",)


@admin.register(SigningKeySet)
class SigningKeySetAdmin(ReadOnlyAdmin):
    list_display = ("issuer", "fetched_at")
    ordering = ("issuer",)
    fields = ("issuer", "fetched_at", "display_document")

    @column(_("Document"))
    def display_document(self, keys: SigningKeySet) -> SafeString:
        return _as_code(json.dumps(keys.document, indent=2))


def _as_code(text: str) -> SafeString:
    return format_html('<pre class="record">{}</pre>', text)
