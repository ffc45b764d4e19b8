"""A broker that refuses, is silent or forgets: B1 to B3."""

import socket
from statistics import median
from time import sleep

from django.db import connection

from stoa_cp.eventlog.models import Event
from stoa_cp.jobs.broker import QUEUE
from tenants.models import Tenant, TenantStatus
from tests.factories import TenantFactory
from tests.faults.load import Call, Caller, writing
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.proxies import Proxy
from tests.faults.world import START_SECONDS, World
from tests.waiting import comes_true, wait_until
from tests.webhooks.receivers import Receiver

WRITES = 100
PATIENCE_SECONDS = 40
PROMISED_STALL_SECONDS = 0.3
DRAIN_SECONDS = 10
SILENT_WRITES = 30
DOUBLED, SET_UPS = 120, 20


def bodies_heard(receiver: Receiver) -> str:
    return "".join(request.body.decode() for request in list(receiver.received))


def are_heard(ids: set[str], receiver: Receiver) -> bool:
    heard = bodies_heard(receiver)
    return all(each in heard for each in ids)


def count_lost(ids: set[str], receiver: Receiver) -> int:
    heard = bodies_heard(receiver)
    return sum(each not in heard for each in ids)


@injects(
    Fault(
        "B1",
        "broker refuses",
        f"its port closed under {WRITES} writes, then opened again",
        "5xx 0, lost 0",
        "tests/kernel/jobs/test_enqueue.py",
    )
)
def refuse(world: World) -> Measured:
    tenant = world.tenant()
    with Receiver().running() as receiver, Proxy(world.database_port).running() as broker:
        world.webhooks(tenant, receiver.url)
        url = world.broker_url("pgmq", broker.port)
        with world.web(STOA_BROKER_URL=url) as port, world.celery(STOA_BROKER_URL=url):
            caller = Caller(port, world.token)
            caller.create_api(tenant.id)
            wait_until(lambda: bool(receiver.received), "the Celery worker delivers", seconds=START_SECONDS)
            broker.refuse()
            calls = [caller.create_api(tenant.id) for _write in range(WRITES)]
            broker.serve_again()
            ids = {call.json["id"] for call in calls if call.status == 201}
            comes_true(lambda: are_heard(ids, receiver), seconds=PATIENCE_SECONDS)
            lost = count_lost(ids, receiver)
    errors = sum(call.status != 201 for call in calls)
    slowest = _slowest(calls) * 1000
    return Measured(
        f"{WRITES} writes: 5xx {errors}, lost {lost}, the slowest {slowest:.0f} ms", held=errors == 0 and lost == 0
    )


@injects(
    Fault(
        "B2",
        "broker accepts and is silent",
        f"TCP proxy that falls silent under {SILENT_WRITES} writes (PostgreSQL); a silent port (Redis, RabbitMQ)",
        "stall ≤ 300 ms: the slowest write against the slowest one beside a broker that answers",
        "tests/kernel/jobs/test_enqueue.py",
    )
)
def be_silent(world: World) -> Measured:
    usual, after = _falls_silent(world)
    silent = {"PostgreSQL": after} | {
        name: _never_speaks(world, scheme) for scheme, name in (("redis", "Redis"), ("amqp", "RabbitMQ"))
    }
    stalls = [_slowest(calls) - _slowest(usual) for calls in silent.values()]
    errors = sum(call.status != 201 for calls in silent.values() for call in calls)
    described = ", ".join(
        f"{name} {_median(calls) * 1000:.0f} / {_slowest(calls) * 1000:.0f}" for name, calls in silent.items()
    )
    return Measured(
        f"ms per write, median / slowest: {described}; usually {_median(usual) * 1000:.0f} / "
        f"{_slowest(usual) * 1000:.0f}; 5xx {errors}",
        held=max(stalls) <= PROMISED_STALL_SECONDS and errors == 0,
    )


def _falls_silent(world: World) -> tuple[list[Call], list[Call]]:
    with Proxy(world.database_port).running() as broker:
        tenant = world.tenant()
        with world.web(STOA_BROKER_URL=world.broker_url("pgmq", broker.port)) as port:
            caller = _warm_caller(world, port)
            before = [caller.create_api(tenant.id) for _write in range(SILENT_WRITES)]
            broker.fall_silent()
            return before, [caller.create_api(tenant.id) for _write in range(SILENT_WRITES)]


def _never_speaks(world: World, scheme: str) -> list[Call]:
    tenant = world.tenant()
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        url = world.broker_url(scheme, silent.getsockname()[1])
        with world.web(STOA_BROKER_URL=url) as port:
            caller = _warm_caller(world, port)
            return [caller.create_api(tenant.id) for _write in range(SILENT_WRITES)]


def _warm_caller(world: World, port: int) -> Caller:
    """Return a caller whose process is past its slow first calls. These are refused, and ring nothing."""
    caller = Caller(port, world.token)
    for _call in range(10):
        caller.post(f"/tenants/{world.tenant().id}/apis", {})
    return caller


def _median(calls: list[Call]) -> float:
    return median(call.seconds for call in calls)


def _slowest(calls: list[Call]) -> float:
    return max(call.seconds for call in calls)


@injects(
    Fault(
        "B3",
        "broker loses its data",
        "the queue's table truncated every 20 ms for 10 s, under load",
        f"lost 0, drained ≤ {DRAIN_SECONDS} s",
    )
)
def forget(world: World) -> Measured:
    tenant = world.tenant()
    with Receiver().running() as receiver, world.web() as port, world.celery():
        world.webhooks(tenant, receiver.url)
        Caller(port, world.token).create_api(tenant.id)
        wait_until(lambda: bool(receiver.received), "the Celery worker delivers", seconds=START_SECONDS)
        with writing(port, world.token, tenant.id, callers=2, pause_seconds=0.1) as load:
            forgotten = sum(_truncate() for _time in range(500))
        drained = _drain(load.created(), receiver)
    lost = count_lost(load.created(), receiver)
    return Measured(
        f"{forgotten} rings forgotten, {len(load.created())} events, lost {lost}, "
        f"drained {drained:.1f} s after the last",
        held=lost == 0 and drained <= DRAIN_SECONDS and forgotten > 0,
    )


def _truncate() -> int:
    """Empty the queue and return how many rings were in it."""
    sleep(0.02)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pgmq.purge_queue(%s)", [QUEUE])
        return int(cursor.fetchone()[0])


def _drain(ids: set[str], receiver: Receiver) -> float:
    return wait_until(lambda: are_heard(ids, receiver), "everything is delivered", seconds=PATIENCE_SECONDS)


@injects(
    Fault(
        "B4",
        "beat started twice",
        f"two Celery workers, each with a clock of its own; {DOUBLED} deliveries, {SET_UPS} tenants",
        "each delivered and set up exactly once",
    )
)
def double_beat(world: World) -> Measured:
    with Receiver().running() as receiver, world.celery(), world.celery():
        tenants = [TenantFactory(status=TenantStatus.PROVISIONING, name=f"doubled-{n}") for n in range(SET_UPS)]
        webhook = world.webhooks(world.tenant(), receiver.url)[0]
        ids = {delivery.id for delivery in world.queue(webhook, DOUBLED)}
        waiting = Tenant.objects.filter(pk__in=[tenant.pk for tenant in tenants], status=TenantStatus.PROVISIONING)
        wait_until(lambda: not waiting.exists(), "all tenants are set up", seconds=START_SECONDS)
        comes_true(lambda: len(receiver.received) >= DOUBLED, seconds=PATIENCE_SECONDS)
        sleep(DRAIN_SECONDS)  # two more sweeps of each clock
    sent = receiver.ids
    activated = Event.objects.filter(type="tenant.activated", tenant_id__in=[tenant.id for tenant in tenants]).count()
    return Measured(
        f"{len(ids)} deliveries, sent {len(sent)} times; {SET_UPS} tenants, activated {activated} times",
        held=len(sent) == len(set(sent)) == DOUBLED and activated == SET_UPS,
    )
