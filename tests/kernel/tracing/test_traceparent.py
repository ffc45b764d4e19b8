"""A caller's ``traceparent`` without OpenTelemetry: kept beside the event, and sent on if a setting says so."""

import os
import socket
import subprocess
import sys
from time import monotonic

import pytest
from django.test import override_settings
from pytest_django import Settings

from stoa_cp.checks import check_tracing
from stoa_cp.eventlog.chain import first_broken_sequence
from stoa_cp.eventlog.models import Event
from stoa_cp.tracing.spans import Kind, current_traceparent, read_traceparent, span
from tenants.models import Tenant
from tests.conftest import Caller
from tests.databases import database_url
from tests.log import last_event
from tests.webhooks.factories import WebhookFactory
from tests.webhooks.receivers import Receiver, Reply
from webhooks.delivery.worker import DeliveryWorker

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NONE = [
    "",
    "nonsense",
    PARENT.upper(),
    PARENT + "-00",
    "01" + PARENT[2:],
    PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
    PARENT.replace("b7ad6b7169203331", "0" * 16),
    PARENT + "\n",
    PARENT.replace("b7", "b\u0667"),
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_traceparent_is_not_taken(text: str) -> None:
    assert read_traceparent(text) == ""
    assert read_traceparent(PARENT) == PARENT


def rename(alice: Caller, name: str, **headers: str) -> Event:
    assert alice.patch("/v1/tenants/acme", {"admin_email": f"{name}@example.com"}, **headers).status_code == 200
    return last_event()


@pytest.mark.django_db
def test_an_event_keeps_the_traceparent_of_its_request_outside_its_hash(alice: Caller, acme: Tenant) -> None:
    assert rename(alice, "one", traceparent=PARENT).traceparent == PARENT
    assert rename(alice, "two", traceparent="nonsense").traceparent is None
    assert rename(alice, "three").traceparent is None
    assert current_traceparent() == ""
    assert first_broken_sequence(acme.id) is None


@pytest.mark.django_db
@pytest.mark.parametrize("is_on", [True, False])
def test_a_setting_sends_it_with_each_delivery(*, is_on: bool, alice: Caller, acme: Tenant, settings: Settings) -> None:
    settings.STOA_ALLOW_HTTP_WEBHOOKS, settings.STOA_EGRESS_ALLOW = True, ["127.0.0.0/8"]
    settings.STOA_TRACE_WEBHOOKS = is_on
    with Receiver(Reply(200)).running() as receiver:
        WebhookFactory(tenant=acme, url=receiver.url)
        for name, headers in (("one", {"traceparent": PARENT}), ("two", {})):
            rename(alice, name, **headers)
            with DeliveryWorker(4) as worker:
                worker.drain()

    assert [call.headers.get("traceparent") for call in receiver.received] == [PARENT if is_on else None, None]


def test_work_inside_work_gives_its_parent_back() -> None:
    with span("outer", Kind.SERVER, parent=PARENT):
        with span("inner", Kind.CLIENT):
            assert current_traceparent() == ""
        assert current_traceparent() == PARENT


# As where the packages are not installed. Where they are, the client of Redis imports them.
WORK = """
import sys
sys.modules["opentelemetry"] = None
import stoa_cp.wsgi
import webhooks.delivery.worker
from django.test import Client
from stoa_cp.tracing.spans import Kind, span
from webhooks.tasks import deliver_due
assert Client(HTTP_HOST="localhost").get("/healthz", headers={"traceparent": "PARENT"}).status_code == 200
deliver_due.apply(headers={"traceparent": "PARENT"}).get()
with span("deliver", Kind.CLIENT, parent="PARENT") as current:
    current.rename("work")
    current.note({"number": 1})
    current.fail("for no reason")
print("done:", [name for name in sys.modules if name.startswith("opentelemetry.")])
""".replace("PARENT", PARENT)


def work(**variables: str) -> str:
    """Return the output of a process that answers a request, runs a task and makes an attempt."""
    environment = os.environ | {"DATABASE_URL": database_url(), "STOA_DECISION_CACHE": "false"} | variables
    command = [sys.executable, "-W", "ignore", "-c", WORK]
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)
    return ended.stdout.strip() or ended.stderr


@pytest.mark.django_db(transaction=True)
def test_without_an_endpoint_opentelemetry_is_not_imported() -> None:
    assert work() == "done: []"
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert work(**endpoint, OTEL_SDK_DISABLED="true") == "done: []"
    assert work(**endpoint, OTEL_TRACES_EXPORTER="none") == "done: []"


def test_with_an_endpoint_and_without_the_packages_no_process_starts() -> None:
    sentence = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the extra tracing is not installed."
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        assert sentence in work(**{name: "http://127.0.0.1:9"})


ONE_SPAN = """
import django
django.setup()
from stoa_cp.tracing.spans import Kind, span
with span("work", Kind.SERVER):
    print("done")
"""


@pytest.mark.deadline
def test_a_receiver_that_does_not_answer_does_not_hold_up_the_end_of_a_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        begun_at = monotonic()
        ended = subprocess.run(
            [sys.executable, "-c", ONE_SPAN], env=environment, check=True, capture_output=True, text=True, timeout=120
        )
    assert ended.stdout == "done\n"
    assert monotonic() - begun_at < 20  # 30 s, if OpenTelemetry has its way; the start takes some of this


def test_another_protocol_is_refused() -> None:
    with override_settings(TRACING_ENABLED=True, TRACING_PROTOCOL="grpc"):
        (error,) = check_tracing()
    assert "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf" in error.msg
    with override_settings(TRACING_ENABLED=True):
        assert check_tracing() == []
