"""The metrics app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MetricsConfig(AppConfig):
    """Traffic, latencies and usage of what went through the gateways."""

    name = "metrics"
    verbose_name = _("Metrics")
