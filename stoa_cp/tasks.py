"""The Celery tasks of the kernel."""

from celery import shared_task

from stoa_cp.eventlog.checkpoints import sign_new_events
from stoa_cp.jobs.broker import delete_old_messages
from stoa_cp.operators.session_store import SessionStore
from stoa_cp.ratelimit.counters import delete_expired_counters
from stoa_cp.rest.idempotency import delete_expired_records


@shared_task(name="stoa_cp.forget")
def purge_expired() -> None:
    """Delete what the kernel keeps for a time: counters, sessions, answers, messages of the queue."""
    delete_expired_counters()
    SessionStore.clear_expired()
    delete_expired_records()
    delete_old_messages()


@shared_task(name="stoa_cp.sign_heads")
def sign_heads() -> None:
    """Verify and sign what was appended to the event log since the last run."""
    sign_new_events()
