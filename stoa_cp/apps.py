"""The kernel as a Django app."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """Holds the models of the kernel packages, and registers the system checks and the OpenAPI schema."""

    name = "stoa_cp"
    verbose_name = "Control plane"

    def ready(self) -> None:
        # Django and drf-spectacular register both when they are imported, which needs the settings.
        from stoa_cp import checks  # noqa: F401
        from stoa_cp.openapi import schema  # noqa: F401
