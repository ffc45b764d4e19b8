"""The tenants app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TenantsConfig(AppConfig):
    """Owners of APIs and subscriptions."""

    name = "tenants"
    verbose_name = _("Tenants")
