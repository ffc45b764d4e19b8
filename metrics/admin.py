"""Traffic in the console: what gateways reported, what waits to be folded, and what is counted at all.

Minutes, hours and days are missing: Django's admin takes no model with a composite primary key.
"""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from metrics.histograms.percentiles import read_sketch
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
        return f"{read_sketch(delta.sketch).percentiles(50)[0]} ms"


@admin.register(Series)
class SeriesAdmin(LargeTableAdmin):
    list_display = ("tenant", "grain", "api", "subscription", "last_request_at")
    list_filter = ("grain",)
    list_select_related = ("tenant", "api__tenant", "subscription")
    search_fields = ("tenant__name__exact", "api__exact", "subscription__exact")
    search_help_text = _("A tenant’s name, or the id of an API or a subscription, in full.")
