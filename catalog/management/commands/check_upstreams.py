"""The command that checks upstreams without Celery."""

from typing import Any

from django.core.management.base import BaseCommand

from catalog.services.upstream_checks import check_due_upstreams


class Command(BaseCommand):
    """Checks what is due, once. Run it every minute where no Celery beat runs."""

    help = "Resolve the hosts of upstreams whose check is due, and refuse APIs that lead to forbidden addresses."

    def handle(self, **_options: Any) -> None:
        self.stdout.write(f"{check_due_upstreams()} APIs checked")
