"""One trace: a caller's, through the web process, the event log, tasks and the delivery, to a real receiver of OTLP."""

import json
from http.client import HTTPConnection
from pathlib import Path

import pytest

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.eventlog.chain import first_broken_sequence
from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests.observed import Service, service
from tests.otlp import Collector, Received, collector
from tests.waiting import wait_until
from tests.webhooks.factories import WebhookFactory
from tests.webhooks.receivers import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NAMES = ("PATCH v1/tenants/<str:tenant_id>", "webhooks.deliver_due", "webhooks.fan_out_events", "deliver")


def change_the_tenant(found: Service, realm: Grants) -> str:
    """Change something as alice, as a part of the caller's trace; return the id of the request."""
    token = realm.key.sign(access_claims(PEOPLE["alice"], realm.issuer))
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "traceparent": f"00-{TRACE}-{CALLER}-01",
    }
    client = HTTPConnection("127.0.0.1", found.port, timeout=30)
    client.request("PATCH", "/v1/tenants/acme", json.dumps({"admin_email": "hunter2@example.com"}), headers)
    response = client.getresponse()
    assert response.status == 200, response.read()
    client.close()
    return response.headers["X-Request-Id"]


def spans_of(found: Collector) -> dict[str, Received]:
    return {span.name: span for span in found.spans(TRACE)}


def test_one_trace_leads_from_a_request_to_its_delivery(acme: Tenant, realm: Grants, tmp_path: Path) -> None:
    with collector() as traces, Receiver(Reply(200)).running() as receiver:
        WebhookFactory(tenant=acme, url=f"{receiver.url}/pathsecret?token=querysecret")
        settings = {
            # Not production, which would take no provider on this machine.
            "STOA_ENV": "test",
            "STOA_OIDC_ISSUER": realm.issuer,
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            # Longer than the test: what arrives is sent at the end of the processes.
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "STOA_TRACE_WEBHOOKS": "true",
        }
        with service(tmp_path, **settings) as found:
            request_id = change_the_tenant(found, realm)
            wait_until(lambda: bool(receiver.received), "the event is delivered", seconds=60)
            found.worker.terminate()
            found.web.terminate()
            assert (found.worker.wait(60), found.web.wait(60)) == (0, 0)
        wait_until(lambda: not set(NAMES).difference(spans_of(traces)), f"all spans arrive: {spans_of(traces).keys()}")
        log = found.log.read_text()
        spans = spans_of(traces)

    web, task, fan_out, attempt = by_name = [spans[name] for name in NAMES]
    assert traces.paths == {"/v1/traces application/x-protobuf"}
    assert {span.service for span in by_name} == {"stoa-control-plane"}
    assert [span.kind for span in (web, fan_out, task, attempt)] == ["SERVER", "CONSUMER", "CONSUMER", "CLIENT"]
    assert [web.parent_id, fan_out.parent_id, attempt.parent_id] == [CALLER, web.span_id, web.span_id]
    assert task.parent_id in {fan_out.span_id, web.span_id}
    assert web.attributes["http.response.status_code"] == 200
    assert web.attributes["stoa.request_id"] == request_id
    event = Event.objects.get(id=attempt.attributes["stoa.event_id"])
    assert event.traceparent == f"00-{TRACE}-{web.span_id}-01"
    assert first_broken_sequence(acme.id) is None
    assert receiver.received[0].headers["traceparent"] == f"00-{TRACE}-{attempt.span_id}-01"
    text = repr(by_name)
    assert not [secret for secret in ("hunter2", "pathsecret", "querysecret", acme.id) if secret in text]
    assert TRACE in log
