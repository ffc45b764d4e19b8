"""The world in which the faults happen: a database server, and the product's processes on it.

What imports the product's models does so late: this module is needed before Django is set up.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from stoa_cp.devserver.postgres import PostgresServer
from tests.faults import processes
from tests.faults.processes import Process, Server
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tenants.models import Tenant
    from webhooks.models import Delivery, Webhook

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a row needs. Django is set up on the database of this server."""

    server: PostgresServer
    environment: Mapping[str, str]
    log: IO[bytes]
    token: str  # of the platform's operator
    folder: Path
    _names: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    @property
    def database_port(self) -> int:
        return urlsplit(self.server.url).port or 0

    def tenant(self) -> "Tenant":
        from tests.factories import TenantFactory

        return TenantFactory(name=f"tenant-of-a-row-{next(self._names)}", tier="enterprise")

    def gateway_token(self) -> str:
        """Register a gateway; return what it proves itself with."""
        from catalog.services.gateways import create_gateway
        from stoa_cp.domain.actors import SYSTEM

        return create_gateway(f"gateway-of-a-row-{next(self._names)}", by=SYSTEM).secret

    def webhooks(self, tenant: "Tenant", url: str, count: int = 1) -> "list[Webhook]":
        """Register webhooks that want everything, each at a path of its own."""
        from tests.webhooks.factories import WebhookFactory

        return [WebhookFactory(tenant=tenant, url=f"{url}/{number}") for number in range(count)]

    def queue(self, webhook: "Webhook", count: int = 1) -> "list[Delivery]":
        """Write deliveries that are due, in one transaction: workers that run must not see their events alone."""
        from django.db import transaction

        from tests.webhooks.factories import DeliveryFactory

        with transaction.atomic():
            return list(DeliveryFactory.create_batch(count, webhook=webhook))

    def worker(self, threads: int = 8, **settings: str) -> AbstractContextManager[Process]:
        return processes.running(processes.delivering(threads), {**self.environment, **settings}, self.log)

    def celery(self, **settings: str) -> AbstractContextManager[Process]:
        return processes.celery({**self.environment, **settings}, self.log)

    def web_server(self, **settings: str) -> AbstractContextManager[Server]:
        return processes.web({**self.environment, **settings}, self.log)

    @contextmanager
    def web(self, **settings: str) -> Iterator[int]:
        """Run a web server of which nothing but its port is needed."""
        with self.web_server(**settings) as server:
            yield server.port

    @contextmanager
    def warm_worker(self, threads: int = 8, **settings: str) -> Iterator[Process]:
        """Run a worker that has already delivered something, so that its start is no part of what is measured."""
        from tests.webhooks.receivers import Receiver

        with Receiver().running() as receiver, self.worker(threads, **settings) as process:
            self.queue(self.webhooks(self.tenant(), receiver.url)[0])
            wait_until(lambda: bool(receiver.received), "the worker delivers", seconds=START_SECONDS)
            yield process

    def broker_url(self, scheme: str, port: int) -> str:
        """Return the address of a broker on loopback; PostgreSQL's own has a name and a password."""
        if scheme != "pgmq":
            return f"{scheme}://127.0.0.1:{port}/"
        address = urlsplit(self.server.url)
        return f"pgmq://{address.username}:{address.password}@127.0.0.1:{port}{address.path}"

    def clear(self) -> None:
        """Leave nothing for the next row to deliver."""
        from django.db import connection
        from django.db.models.functions import Now

        from stoa_cp.eventlog.models import OutboxEntry
        from stoa_cp.jobs.broker import QUEUE
        from webhooks.models import Delivery, Webhook

        connection.close()
        Webhook.objects.update(deleted_at=Now())
        Delivery.objects.all().delete()
        OutboxEntry.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pgmq.purge_queue(%s)", [QUEUE])
