"""The kernel as a Django app."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """Holds the event log, the counters and the system checks."""

    name = "stoa_cp"
    verbose_name = "Control plane"

    def ready(self) -> None:
        from stoa_cp import checks, openapi  # noqa: F401 - both register themselves, once the settings are there
