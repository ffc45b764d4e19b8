"""The Celery task of this app."""

from celery import shared_task

from catalog.services.upstream_checks import check_due_upstreams


@shared_task(name="catalog.check_upstreams")
def check_upstreams() -> None:
    """Resolve the hosts of the APIs whose check is due. Idempotent: what was checked is not due any more."""
    check_due_upstreams()
