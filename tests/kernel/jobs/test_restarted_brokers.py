"""Brokers that are restarted: a web process sends its tasks again without a restart."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import transaction

from stoa_cp.celery import app
from stoa_cp.jobs import enqueue
from tests.brokers import Broker, rabbitmq, redis
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PUBLISH_SECONDS = 20


@pytest.fixture(scope="module", params=[rabbitmq, redis])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    start: Callable[[], AbstractContextManager[Broker]] = request.param
    with start() as broker:
        yield broker


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
