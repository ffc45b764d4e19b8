"""The subscriptions app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SubscriptionsConfig(AppConfig):
    """Plans, and subscriptions under them."""

    name = "subscriptions"
    verbose_name = _("Subscriptions")
