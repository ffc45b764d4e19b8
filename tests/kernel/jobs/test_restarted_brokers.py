"""Brokers that are restarted, or that close every connection: web, worker and beat go on without a restart."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import transaction

from stoa_cp.celery import app
from stoa_cp.devserver.grants import Grants
from stoa_cp.jobs import enqueue
from tenants.models import Tenant, TenantStatus
from tests.brokers import Broker, rabbitmq, redis
from tests.databases import database_url
from tests.factories import TenantFactory
from tests.faults import processes
from tests.faults.proxies import Proxy
from tests.security.installation import environment
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

# Beat sweeps every 5 s, and worker and beat wait some seconds between their attempts to reconnect.
SECONDS = 90
PUBLISH_SECONDS = 20


@pytest.fixture(scope="module", params=[rabbitmq, redis])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    start: Callable[[], AbstractContextManager[Broker]] = request.param
    with start() as broker:
        yield broker


def at_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.port}", f":{port}")


def await_set_up(name: str) -> None:
    """Wait until beat's task, which comes over the broker, has set up a tenant that was never announced."""
    tenant = TenantFactory(name=name, status=TenantStatus.PROVISIONING)
    wait_until(
        lambda: Tenant.objects.get(pk=tenant.pk).status == TenantStatus.ACTIVE, f"{name} is set up", seconds=SECONDS
    )


def test_worker_and_beat_go_on(broker: Broker, realm: Grants) -> None:
    proxy = Proxy(urlsplit(broker.url).port or 0)
    with proxy.running(), tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        surroundings = environment(database_url(), realm, folder) | {"STOA_BROKER_URL": at_port(broker.url, proxy.port)}
        with processes.worker(surroundings, log) as worker, processes.beat(surroundings, log) as beat:
            await_set_up("before")
            proxy.refuse()
            proxy.serve_again()
            await_set_up("connections-closed")
            broker.restart()
            await_set_up("restarted")
            assert (worker.poll(), beat.poll()) == (None, None)


def test_a_web_process_publishes_again(broker: Broker, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(app.conf, "broker_url", broker.url)
    warnings: list[str] = []
    monkeypatch.setattr(enqueue.logger, "warning", lambda event, **_fields: warnings.append(event))

    def is_sent() -> bool:
        enqueue._breaker.open_until = 0.0
        before = len(warnings)
        with transaction.atomic():
            enqueue.enqueue_on_commit("tenants.set_up", "ten-0000000000000000")
        return len(warnings) == before

    enqueue._publisher.close()
    try:
        wait_until(is_sent, seconds=PUBLISH_SECONDS)  # the first one takes long: it imports the client
        assert is_sent()
        broker.restart()
        wait_until(is_sent, "a task is sent after the restart", seconds=PUBLISH_SECONDS)
        assert is_sent()
    finally:
        enqueue._publisher.close()
