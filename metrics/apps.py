"""The metrics app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MetricsConfig(AppConfig):
    """What went through the gateways: traffic, latencies, usage."""

    name = "metrics"
    verbose_name = _("Metrics")
