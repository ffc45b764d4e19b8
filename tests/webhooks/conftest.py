"""Receivers, and a worker that delivers on the spot."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from tenants.models import Tenant
from tests.webhooks.factories import WebhookFactory
from tests.webhooks.receivers import RawReceiver, Receiver, Reply, Script
from webhooks.delivery.worker import DeliveryWorker
from webhooks.models import Webhook

StartReceiver = Callable[..., Receiver]
StartRawReceiver = Callable[[Script], RawReceiver]
Drain = Callable[[], int]


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Settings) -> None:
    settings.STOA_ALLOW_HTTP_WEBHOOKS = True
    settings.STOA_EGRESS_ALLOW = ["127.0.0.0/8", "::1/128"]
    settings.STOA_WEBHOOK_MIN_SECRET_BYTES = 0


@pytest.fixture(autouse=True)
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test ask a name server; a name that nobody knows is accepted at creation."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        if host[0].isdigit() or ":" in host or host == "localhost":
            return real(host, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def start_receiver() -> Iterator[StartReceiver]:
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Receiver(*args, **kwargs).running())


@pytest.fixture
def start_raw_receiver() -> Iterator[StartRawReceiver]:
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(RawReceiver(script).running())


@pytest.fixture
def receiver(start_receiver: StartReceiver) -> Receiver:
    return start_receiver(Reply())


@pytest.fixture
def webhook(acme: Tenant, receiver: Receiver) -> Webhook:
    """A webhook of acme's that wants everything, and whose receiver answers 200."""
    created: Webhook = WebhookFactory(tenant=acme, url=receiver.url)
    return created


@pytest.fixture
def drain() -> Drain:
    """Return a function that fans out and delivers everything due; it returns how many attempts it settled."""

    def drain() -> int:
        with DeliveryWorker(django_settings.STOA_WEBHOOK_THREADS) as worker:
            return worker.drain()

    return drain
