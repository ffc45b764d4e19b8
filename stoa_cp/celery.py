"""The Celery application: tasks announce work that is stored in rows, and beat sweeps for work not announced."""

import os
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.contrib.django.task import DjangoTask
from celery.signals import before_task_publish, import_modules, setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

from stoa_cp.jobs.broker import QUEUE, WORKER_SECONDS, broker_url, transport_options
from stoa_cp.jobs.transport import use_this_transport
from stoa_cp.observability.logs import check_settings, log_all_output, write_line
from stoa_cp.observability.task_runs import TaskRun, stamp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stoa_cp.settings")

# {entry: {"task": name, "schedule": seconds}}. Seconds, not crontabs: a sweep is due again some time after the last
# one, at no particular hour.
BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # 5 s: these two find work whose task was lost with its broker or its worker. The promise is a delay of 10 s at most
    # after a lost task, and of the lease and 5 s after a killed worker.
    "set up tenants": {"task": "tenants.set_up_waiting_tenants", "schedule": 5.0},
    "deliver webhooks": {"task": "webhooks.deliver_due", "schedule": 5.0},
    # 30 s and 60 s: these only change a status and emit events. A call compares the times itself, on the database's
    # clock, so no expired subscription or key passes until then.
    "expire subscriptions": {"task": "subscriptions.expire_due", "schedule": 30.0},
    "announce key expiries": {"task": "apikeys.announce_expiries", "schedule": 60.0},
    # 30 s: an API is due 4.5 minutes after its last check, so that at most 5 minutes pass between two.
    "check upstreams": {"task": "catalog.check_upstreams", "schedule": 30.0},
    # 10 s: bounds the deltas that a reader has to add up beside the rollups. Answers are complete without it.
    "fold traffic": {"task": "metrics.fold_traffic", "schedule": 10.0},
    # An hour: these delete rows that are kept for days (answers to retries: one day; counters: one hour), and make
    # partitions in advance.
    "keep the traffic tables": {"task": "metrics.keep_house", "schedule": 3600.0},
    "forget deliveries": {"task": "webhooks.forget", "schedule": 3600.0},
    "forget": {"task": "stoa_cp.forget", "schedule": 3600.0},
    # An hour: what happened since the last signed head is what the database's owner could still rewrite unnoticed.
    "sign heads": {"task": "stoa_cp.sign_heads", "schedule": 3600.0},
}
# What holds for each entry.
BEAT_ENTRY: dict[str, Any] = {
    # Long ago: everything is due when beat starts. So beat needs no file that keeps the times, and a beat that is
    # restarted more often than hourly still runs what is hourly. All tasks may run once too often.
    "last_run_at": datetime(2000, 1, 1, tzinfo=UTC),
    # beat has one connection and keeps it when it breaks: without retries, each schedule would fail for ever after a
    # restart of the broker. Three, 0, 0.5 and 1 s apart; then the error is logged, and the next schedule tries again.
    "options": {"retry": True, "retry_policy": {"max_retries": 3, "interval_start": 0, "interval_step": 0.5}},
}


class ReconnectingTask(DjangoTask[Any, Any]):
    """Reconnects to the database if it was restarted since the last task of this thread, and measures each run."""

    abstract = True

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from django.db import close_old_connections  # Django is not set up when this module is imported

        close_old_connections()
        # Celery's own request of this run, which takes any attribute: this object serves all threads.
        self.request.stoa_run = TaskRun(self.name, self.request.headers or {})  # type: ignore[attr-defined]  # see above

    def after_return(self, status: str, *_result: Any) -> None:
        self.request.stoa_run.end(status)  # type: ignore[attr-defined]  # as before_start sets it


def configuration() -> dict[str, Any]:
    """Return Celery's settings. Celery calls this when it first needs one, when Django's settings can be read."""
    from django.conf import settings  # this module is imported while the settings are being read

    url = broker_url(settings.STOA_BROKER_URL, settings.DATABASES["default"])
    return {
        "broker_url": url,
        "broker_transport_options": transport_options(url, wait_seconds=WORKER_SECONDS),
        "broker_connection_timeout": WORKER_SECONDS,
        # A worker outlives its broker: it tries to reconnect for ever, also if the broker starts after it.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_default_queue": QUEUE,
        "task_ignore_result": True,  # what a task has done is in the rows
        "task_publish_retry": False,  # the sweep is the retry, and a request must not wait for one
        "beat_schedule": {name: entry | BEAT_ENTRY for name, entry in BEAT_SCHEDULE.items()},
        # Not the default, which keeps a file in the working folder: see BEAT_ENTRY.
        "beat_scheduler": "celery.beat:Scheduler",
        # Remote control makes one queue per worker, which would outlive the worker in PostgreSQL.
        "worker_enable_remote_control": False,
        # Celery would reconnect to the database around every task (4.6 ms); ReconnectingTask does it when needed.
        "CELERY_DB_REUSE_MAX": 1_000_000,
        # The default of Celery 6; set, it avoids a warning. It concerns tasks that acknowledge late. Ours do not.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
    }


use_this_transport()
app = Celery("stoa_cp", task_cls=ReconnectingTask)
# Kernel packages use celery.current_app. In threads other than this one, that is the default app.
app.set_default()
app.add_defaults(configuration)
app.autodiscover_tasks()
# A task's log lines carry the id of the request that sent it.
app.steps["worker"].add(DjangoStructLogInitStep)


@import_modules.connect
def refuse_dangerous_settings(**_options: Any) -> None:
    """End a worker or a beat with a dangerous production configuration at its start, as ``stoa_cp.wsgi`` ends.

    At this signal, because it is the only one of a start whose receivers may fail: Celery logs the errors of others and
    goes on.
    """
    check_settings("security")


@before_task_publish.connect
def note_time_of_sending(headers: MutableMapping[str, Any], **_message: Any) -> None:
    """Let the worker measure how long a task waited. By this signal, because beat sends without code of ours."""
    stamp(headers)


@setup_logging.connect
def keep_logging(**_options: Any) -> None:
    """Leave logging as Django's settings have it: without a receiver of this signal, Celery replaces the handlers.

    In production, what Celery prints is a line of the log as well.
    """
    from celery.apps import worker  # takes 0.1 s, which web processes save
    from django.conf import settings

    if settings.IS_PRODUCTION:
        log_all_output()
        # Its handlers of signals print by this function, and Celery has no option against it.
        worker.safe_say = write_line  # type: ignore[attr-defined]  # not in the package's stubs
