"""Mixed traffic for minutes, and what it leaves behind: ``python -m tests.production.soak [minutes]``, 10 by default.

The processes of `make run` on a PostgreSQL that writes to the disk: callers of the API and gateways, good and bad ones,
batches of traffic, and a receiver of webhooks. Their memory and descriptors must be flat after a third of the time, no
call may fail, and every queue must be empty soon after the end.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import Any

import psutil

from tests.faults.__main__ import world
from tests.faults.load import Call, Caller
from tests.faults.world import World
from tests.waiting import wait_until

MINUTES = 10.0
SAMPLE_SECONDS = 1.0
RECORDS = 50  # of a batch of traffic
# What may differ between the second and the last third: caches that still fill, and what the allocator keeps.
MOST_GROWTH_BYTES = 10 * 1024 * 1024
MOST_DESCRIPTORS = 4
EMPTY_SECONDS = 60
# A call with a wrong key and one above its limit are refused, as they should.
GOOD = frozenset({200, 201, 202, 204, 401, 403, 404, 429})


@dataclass(slots=True)
class Watched:
    """One process: its memory in bytes and its open descriptors, second by second."""

    name: str
    process: psutil.Process
    bytes: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def sample(self) -> None:
        self.bytes.append(self.process.memory_info().rss)
        self.descriptors.append(self.process.num_fds())

    def growth(self) -> tuple[float, float]:
        """Return how much more the last third has than the second one: bytes and descriptors, in the median."""
        third = len(self.bytes) // 3
        return tuple(
            median(samples[2 * third :]) - median(samples[third : 2 * third])
            for samples in (self.bytes, self.descriptors)
        )  # type: ignore[return-value]  # of two


@dataclass(slots=True)
class Traffic:
    """What the callers use, and how each call ended."""

    here: World
    port: int
    tenant_id: str
    api_id: str
    subscription_id: str
    key: str
    gateway_token: str
    path: str
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    refusals: dict[tuple[str, int], bytes] = field(default_factory=dict)  # the last answer of each

    def decide(self, caller: Caller, number: int) -> Call:
        """Ask for a decision; one key in ten is wrong."""
        key = self.key if number % 10 else f"{self.key[:-1]}x"
        return caller.send(
            "GET", "/gateway/authorize", X_Stoa_Gateway_Token=self.gateway_token, X_Forwarded_Uri=self.path,
            X_Forwarded_Method="GET", X_API_Key=key, Authorization="",
        )  # fmt: skip

    def read(self, caller: Caller, number: int) -> Call:
        paths = ("apis?limit=20", "events?limit=50", "subscriptions", "apikeys", "metrics?granularity=hour")
        return caller.send("GET", f"/tenants/{self.tenant_id}/{paths[number % len(paths)]}")

    def write(self, caller: Caller, number: int) -> Call:
        """Create an API and delete it; each is an event that goes to a webhook."""
        created = caller.create_api(self.tenant_id)
        if created.status != 201:
            return created
        return caller.send("DELETE", f"/tenants/{self.tenant_id}/apis/{created.json['id']}")

    def report(self, caller: Caller, number: int) -> Call:
        record = {
            "api_id": self.api_id,
            "subscription_id": self.subscription_id,
            "status": 200,
            "latency_ms": number % 900,
        }
        records = [record | {"timestamp": datetime.now(UTC).isoformat()} for _record in range(50)]
        body = {"batch_id": f"soak-{id(caller)}-{number}", "records": records}
        return caller.post("/gateway/traffic", body, X_Stoa_Gateway_Token=self.gateway_token)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send calls of each kind for the length of the block."""
        is_over = Flag()
        kinds = (self.decide, self.decide, self.read, self.write, self.report)
        threads = [Thread(target=self._send, args=(kind, is_over)) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()

    def _send(self, kind: Callable[[Caller, int], Call], is_over: Flag) -> None:
        caller, number = Caller(self.port, self.here.token), 0
        # Not as fast as possible: a machine that is always busy shows its own queues, not ours.
        while not is_over.wait(0.02):
            number += 1
            call = kind(caller, number)
            self.statuses[kind.__name__, call.status] += 1
            if call.status not in GOOD:
                self.refusals[kind.__name__, call.status] = call.body
        caller.close()


def prepare(here: World, port: int) -> Traffic:
    from apikeys.services.keys import NewKey, issue_key
    from stoa_cp.domain.actors import SYSTEM
    from tests.factories import ApiFactory, SubscriptionFactory

    tenant = here.tenant()
    api = ApiFactory(tenant=tenant, name="payments", path="/pay")
    subscription = SubscriptionFactory(tenant=tenant, api=api, active=True, rate_limit=None, quota=None)
    key = issue_key(subscription, NewKey(), by=SYSTEM).secret
    path = f"/{tenant.name}/pay/1"
    return Traffic(here, port, tenant.id, api.id, subscription.id, key, here.gateway_token(), path)


def waiting() -> dict[str, int]:
    """Count what background work has not done yet."""
    from django.db import connection
    from django.db.models.functions import Now

    from metrics.models import TrafficDelta
    from stoa_cp.eventlog.models import OutboxEntry
    from stoa_cp.jobs.broker import QUEUE
    from webhooks.models import Delivery

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM pgmq.q_{QUEUE} WHERE vt <= now() - interval '1 second'")  # noqa: S608 - a constant
        (messages,) = cursor.fetchone()
    return {
        "events": OutboxEntry.objects.count(),
        "deliveries": Delivery.objects.pending().filter(next_attempt_at__lte=Now()).count(),
        "traffic": TrafficDelta.objects.count(),
        "tasks": messages,
    }


def soak(here: World, seconds: float) -> list[str]:
    """Return what was not as it should be."""
    from tests.webhooks.receivers import Receiver

    settings: dict[str, Any] = {"STOA_DECISION_CACHE": "true", "STOA_METRICS_ALLOW": "127.0.0.0/8"}
    with here.web_server(**settings) as server, here.celery() as worker, Receiver().running() as receiver:
        traffic = prepare(here, server.port)
        from tenants.models import Tenant

        here.webhooks(Tenant.objects.get(id=traffic.tenant_id), receiver.url)
        watched = [Watched(f"web {number}", each) for number, each in enumerate(server.workers(), start=1)]
        watched.append(Watched("worker and beat", psutil.Process(worker.pid)))
        until = monotonic() + seconds
        with traffic.running():
            while monotonic() < until:
                for each in watched:
                    each.sample()
                Flag().wait(SAMPLE_SECONDS)
        emptied = wait_until(lambda: not any(waiting().values()), f"{waiting()} are done", seconds=EMPTY_SECONDS)
        _say(
            f"{sum(traffic.statuses.values())} calls; {len(receiver.received)} deliveries; empty after {emptied:.1f} s"
        )
    return list(faults(watched, traffic))


def faults(watched: list[Watched], traffic: Traffic) -> Iterator[str]:
    for each in watched:
        grown, opened = each.growth()
        _say(
            f"{each.name}: {each.bytes[-1] / 2**20:.0f} MB, grown by {grown / 2**20:.1f} MB; {opened:+.0f} descriptors"
        )
        if grown > MOST_GROWTH_BYTES or opened > MOST_DESCRIPTORS:
            yield f"{each.name} has grown"
    for (kind, status), count in sorted(traffic.statuses.items()):
        _say(f"{kind}: {count} × {status}")
        if status not in GOOD:
            yield f"{count} calls of {kind} ended with {status}: {traffic.refusals[kind, status]!r}"


def _say(text: str) -> None:
    sys.stdout.write(f"  {text}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Return the exit status."""
    seconds = 60 * float(arguments[0] if arguments else MINUTES)
    with world() as here:
        found = soak(here, seconds)
    sys.stdout.write("\n".join([*found, f"soak: {'WRONG' if found else 'right'}"]) + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
