"""The kernel as a Django app."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    """Holds the event log, the counters and the system checks."""

    name = "stoa_cp"
    verbose_name = "Control plane"

    def ready(self) -> None:
        # Both register themselves when they are imported, which needs the settings.
        from stoa_cp import checks  # noqa: F401
        from stoa_cp.openapi import schema  # noqa: F401
