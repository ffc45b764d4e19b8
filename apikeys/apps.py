"""The API keys app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiKeysConfig(AppConfig):
    """Keys, their secrets, and what they open."""

    name = "apikeys"
    verbose_name = _("API keys")
