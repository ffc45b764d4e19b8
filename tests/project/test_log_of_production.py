"""A whole installation in production: its log is JSON and nothing else, and /metrics shows what all programs did."""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tenants.models import Tenant
from tests.observed import METRICS_TOKEN, SETTINGS, Service, service
from tests.waiting import NeverHappened, wait_until
from tests.webhooks.factories import WebhookFactory, an_event
from tests.webhooks.receivers import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)

PATH_SECRET, QUERY_SECRET = "pathsecret", "querysecret"


def end(found: Service) -> None:
    """Reload the web server, then end it and the worker, as a release does."""
    found.web.send_signal(signal.SIGHUP)
    wait_until(lambda: found.log.read_text().count("Started worker-") >= 4, "the web server reloads", seconds=60)
    for process in (found.web, found.worker):
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def metrics_of(found: Service) -> str:
    status, text = found.get("/metrics", Authorization=f"Bearer {METRICS_TOKEN}")
    assert status == 200
    return text.decode()


def not_counted(text: str) -> list[str]:
    """Return what the page does not show yet of the work of the web process, the worker and beat."""
    found = {
        series: float(value)
        for series, _blank, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }
    expected = ["stoa_beat_last_task_timestamp_seconds", "stoa_database_up", "stoa_broker_up"]
    expected += ['stoa_task_runs_total{result="succeeded",task="webhooks.deliver_due"}']
    expected += ['stoa_task_wait_seconds_total{task="webhooks.deliver_due"}']
    expected += [f'stoa_delivery_attempts_total{{result="{result}"}}' for result in ("delivered", "http_error")]
    missing = [series for series in expected if found.get(series, 0) == 0]
    for program in ("web", "worker"):
        name = f'stoa_database_sessions{{program="{program}"'
        if not sum(count for series, count in found.items() if series.startswith(name)):
            missing.append(name)
    return missing


def test_every_line_is_json(acme: Tenant, tmp_path: Path) -> None:
    with Receiver(Reply(200)).running() as good, Receiver(Reply(500)).running() as bad:
        secret_url = f"{good.url}/{PATH_SECRET}?token={QUERY_SECRET}"
        delivered = WebhookFactory(tenant=acme, url=secret_url)
        refused = WebhookFactory(tenant=acme, url=bad.url)
        with service(tmp_path, STOA_MISSPELT="true") as found:
            assert found.get("/healthz")[0] == 200
            assert found.get("/v1/me", Authorization="Bearer nonsense")[0] in (401, 503)
            assert found.get("/v1/gateway/authorize?password=hunter2")[0] == 401
            assert found.get("/nothing")[0] == 404
            event = an_event(acme, "subscription.approved")
            wait_until(lambda: found.log.read_text().count("delivery_attempted") >= 2, "both are attempted", seconds=60)
            with suppress(NeverHappened):
                wait_until(lambda: not not_counted(metrics_of(found)), seconds=60)
            assert not_counted(metrics_of(found)) == []
            end(found)
            lines = found.lines()

    for line in lines:
        assert {"event", "level", "timestamp"} <= line.keys(), line
    text = json.dumps(lines)
    for secret in (PATH_SECRET, QUERY_SECRET, "hunter2"):
        assert secret not in text
    requests = [line for line in lines if line["event"] == "request_finished"]
    assert len(requests) >= 4
    assert all(0 < line["duration_ms"] < 60_000 for line in requests)
    # The first of each: the one that failed is soon tried again.
    attempts = {line["webhook_id"]: line for line in lines[::-1] if line["event"] == "delivery_attempted"}
    assert {attempt["event_id"] for attempt in attempts.values()} == {event.id}
    assert [attempts[hook.id][name] for hook in (delivered, refused) for name in ("result", "status", "attempt")] == [
        *("delivered", 200, 1),
        *("http_error", 500, 1),
    ]
    assert all(attempt["host"] == "127.0.0.1" and attempt["duration_ms"] >= 0 for attempt in attempts.values())
    assert any("STOA_MISSPELT is no setting" in line.get("result", "") for line in lines)
    assert any(line["event"] == "worker: Warm shutdown (MainProcess)" for line in lines)


ALL_KINDS = """
import threading, warnings
import django
django.setup()
from stoa_cp.observability.logs import log_all_output
log_all_output()
warnings.warn("a library warns", DeprecationWarning, stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the end")
"""


def test_warnings_and_uncaught_exceptions_are_lines_of_the_log() -> None:
    environment = SETTINGS | {"STOA_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
    command = [sys.executable, "-W", "always", "-c", ALL_KINDS]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert any("a library warns" in line["event"] for line in lines)
    uncaught = [line["exception"] for line in lines if line["event"] == "uncaught_exception"]
    assert [("ZeroDivisionError" in text, "the end" in text) for text in uncaught] == [(True, False), (False, True)]
