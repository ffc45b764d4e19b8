"""The catalogue app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CatalogConfig(AppConfig):
    """APIs and gateways."""

    name = "catalog"
    verbose_name = _("Catalogue")
