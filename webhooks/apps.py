"""The webhooks app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    """Receivers of events, and what was delivered to them."""

    name = "webhooks"
    verbose_name = _("Webhooks")
