"""The Celery application: a doorbell for work that lies in rows, and a clock that rings again what was not heard."""

import os
from typing import Any

from celery import Celery
from celery.contrib.django.task import DjangoTask
from celery.signals import setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

from stoa_cp.jobs.broker import QUEUE, WORKER_SECONDS, broker_url, transport_options

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stoa_cp.settings")

# {entry: {"task": name, "schedule": seconds}}: the sweeps that find the rows whose doorbell was lost.
BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "set up tenants": {"task": "tenants.set_up_waiting_tenants", "schedule": 5.0},
    "expire subscriptions": {"task": "subscriptions.expire_due", "schedule": 30.0},
    "announce key expiries": {"task": "apikeys.announce_expiries", "schedule": 60.0},
    "fold traffic": {"task": "metrics.fold_traffic", "schedule": 10.0},
    "keep the traffic tables": {"task": "metrics.keep_house", "schedule": 3600.0},
    "deliver webhooks": {"task": "webhooks.deliver_due", "schedule": 5.0},
    "forget deliveries": {"task": "webhooks.forget", "schedule": 3600.0},
    "forget": {"task": "stoa_cp.forget", "schedule": 3600.0},
}


class ReconnectingTask(DjangoTask[Any, Any]):
    """A task that notices that the database was restarted since the last one ran in its thread."""

    abstract = True

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from django.db import close_old_connections  # Django is not set up when this module is imported

        close_old_connections()


def configuration() -> dict[str, Any]:
    """Return Celery's settings, read from Django's when they are first needed."""
    from django.conf import settings  # imported while the settings themselves are being read

    url = broker_url(settings.STOA_BROKER_URL, settings.DATABASES["default"])
    return {
        "broker_url": url,
        "broker_transport_options": transport_options(url, wait_seconds=WORKER_SECONDS),
        "broker_connection_timeout": WORKER_SECONDS,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_default_queue": QUEUE,
        "task_ignore_result": True,
        "task_publish_retry": False,
        "beat_schedule": BEAT_SCHEDULE,
        # A queue for each worker's orders would outlive the worker in PostgreSQL.
        "worker_enable_remote_control": False,
        # Celery would reconnect to the database around every task (4.6 ms); ReconnectingTask does it when needed.
        "CELERY_DB_REUSE_MAX": 1_000_000,
        # What Celery 6 will do. It concerns tasks that acknowledge late, which ours do not.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
    }


app = Celery("stoa_cp", task_cls=ReconnectingTask)
# Kernel packages ask Celery for the current app, also in threads, where only a default app is one.
app.set_default()
app.add_defaults(configuration)
app.autodiscover_tasks()
# A task's log lines carry the request id of the call that rang for it.
app.steps["worker"].add(DjangoStructLogInitStep)


@setup_logging.connect
def keep_logging(**_options: Any) -> None:
    """Leave logging as Django's settings have it: without a receiver, Celery would replace their handlers."""
