"""No delivery opens a connection to a forbidden address, however its URL is written."""

import pytest
from pytest_django import Settings

from tests.kernel.net.urls import HOSTILE
from tests.webhooks.receivers import Receiver
from webhooks.delivery.client import WebhookClient


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_host_is_refused_at_send(url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STOA_ALLOW_HTTP_WEBHOOKS, settings.STOA_EGRESS_ALLOW = False, []

    def refuse(*_args: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr("webhooks.delivery.connections.socket.create_connection", refuse)
    with WebhookClient(1.0) as client:
        assert client.post(url, {}, b"{}").failure == "blocked_address"


def test_a_forbidden_address_hears_nothing(receiver: Receiver, settings: Settings) -> None:
    settings.STOA_EGRESS_ALLOW = []
    with WebhookClient(1.0) as client:
        assert client.post(receiver.url, {}, b"{}").failure == "blocked_address"
    assert receiver.connections == 0
