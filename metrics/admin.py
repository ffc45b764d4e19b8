"""The console's pages of traffic: reported batches, deltas that are not folded yet, and series. All are read-only.

Minutes, hours and days have no page: Django's admin does not support models with a composite primary key.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from metrics.histograms.percentiles import summarize_sketch
from metrics.models import Series, TrafficBatch, TrafficDelta
from stoa_cp.console.pages import LargeTableAdmin, column


@admin.register(TrafficBatch)
class TrafficBatchAdmin(LargeTableAdmin):
    list_display = ("batch_id", "reporter", "accepted", "refused", "received_at")
    search_fields = ("batch_id__exact", "reporter__exact")
    search_help_text = _("A batch’s id or a gateway’s, in full.")


@admin.register(TrafficDelta)
class TrafficDeltaAdmin(LargeTableAdmin):
    list_display = ("minute", "tenant", "api", "subscription", "requests", "errors", "median")
    list_select_related = ("tenant", "api__tenant", "subscription")
    fields = ("minute", "last_request_at", "tenant", "api", "subscription", "requests", "errors", "median")

    @column(_("Median latency"))
    def median(self, delta: TrafficDelta) -> str:
        return f"{summarize_sketch(delta.sketch).percentiles(50)[0]} ms"


@admin.register(Series)
class SeriesAdmin(LargeTableAdmin):
    list_display = ("tenant", "dimension", "api", "subscription", "last_request_at")
    list_filter = ("dimension",)
    list_select_related = ("tenant", "api__tenant", "subscription")
    search_fields = ("tenant__exact", "api__exact", "subscription__exact")
    search_help_text = _("The id of a subscription, an API or a tenant, in full.")
