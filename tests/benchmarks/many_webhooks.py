"""Claims, and a worker with nothing to do, where 20,000 webhooks have something pending."""

import os
import subprocess
from collections.abc import Iterator
from statistics import median
from time import perf_counter, sleep

import psutil
from django.utils import timezone

from stoa_cp.devserver.processes import Program, end, spawn
from tests.benchmarks.databases import ask, execute
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.benchmarks.senders import STOP_SECONDS, engine_command
from tests.databases import database_url
from tests.factories import TenantFactory
from tests.waiting import wait_until
from tests.webhooks.factories import an_old_event
from webhooks.delivery.health import settle_attempts
from webhooks.delivery.queue import DeliveryLease, Outcome, claim_due
from webhooks.models import DeliveryStatus

TENANTS = 1_000
EVENTS = 5  # as many deliveries has each webhook
AT_ONCE = 48  # as a worker of 32 threads claims
AT_MOST = 1.5
IDLE_PERCENT = 1.0

INSERT_WEBHOOKS = """
INSERT INTO webhooks_webhook (id, tenant_id, url, events, description, status, disabled_reason, secret, secret_hint,
    secret_is_weak, failure_count, created_at, updated_at, version)
SELECT 'whk-' || left(md5(tenant.id || number), 16), tenant.id, 'http://127.0.0.1:9/', '["*"]', '', 'enabled', '', '',
    '', false, 0, now(), now(), 1
FROM tenants_tenant tenant, generate_series(1, 20) number WHERE tenant.name LIKE 'bench-many-%'
"""
INSERT_DELIVERIES = """
INSERT INTO webhooks_delivery
    (id, tenant_id, webhook_id, event_id, body, status, attempt, attempts_before, next_attempt_at, created_at)
SELECT 'dlv-' || left(md5(webhook.id || event.id), 16), webhook.tenant_id, webhook.id, event.id, '{}', 'pending', 0, 0,
    now() + interval '20 hours', now()
FROM webhooks_webhook webhook JOIN tenants_tenant tenant ON tenant.id = webhook.tenant_id
CROSS JOIN stoa_cp_event event
WHERE tenant.name LIKE 'bench-many-%' AND event.type = 'bench.many'
"""
# By the ids, which are hashes: the few are of many tenants.
FEW_WEBHOOKS = "(SELECT DISTINCT webhook_id FROM webhooks_delivery ORDER BY webhook_id LIMIT 200)"
WAIT = "UPDATE webhooks_delivery SET status = 'pending', token = NULL, next_attempt_at = now() + interval '20 hours'"
END = "UPDATE webhooks_delivery SET status = 'delivered', token = NULL, next_attempt_at = NULL"
DUE = "UPDATE webhooks_delivery SET status = 'pending', token = NULL, next_attempt_at = now() - interval '1 second'"
STATES = {
    "200 webhooks pending": (END, f"{DUE} WHERE webhook_id IN {FEW_WEBHOOKS}"),
    "200 due, 20,000 waiting for a retry": (WAIT, f"{DUE} WHERE webhook_id IN {FEW_WEBHOOKS}"),
    "20,000 pending": (DUE,),
}


def many_webhooks_rows() -> Iterator[Row]:
    _load()
    rounds = [[_claims_per_second(*statements) for statements in STATES.values()] for _round in range(ROUNDS)]
    few, *many = (median(one[place] for one in rounds) for place in range(len(STATES)))
    for state, rate in zip(list(STATES)[1:], many, strict=True):
        name = f"claims and settlements, webhooks: {state}, at most {AT_MOST} times as long as with 200"
        yield Row(name, f"{rate:,.0f}/s", f"{few:,.0f}/s", rate / few, 1 / AT_MOST)
    execute(WAIT, "TRUNCATE webhooks_attempt", "VACUUM ANALYZE webhooks_delivery")
    percent = _idle_percent()
    name = "an idle worker and its session, 20,000 webhooks waiting for a retry: share of a core"
    yield Row(name, f"{percent:.2f} %", f"≤ {IDLE_PERCENT:.0f} %", IDLE_PERCENT / percent, goal=1)


def _load() -> None:
    tenants = [TenantFactory(name=f"bench-many-{number}") for number in range(TENANTS)]
    for _number in range(EVENTS):
        an_old_event(tenants[0], "bench.many")
    execute("TRUNCATE webhooks_delivery, webhooks_attempt", INSERT_WEBHOOKS, INSERT_DELIVERIES)


def _claims_per_second(*statements: str) -> float:
    """Claim, and settle as delivered, in one thread and without sending."""
    execute("TRUNCATE webhooks_attempt", *statements, "VACUUM ANALYZE webhooks_delivery")
    start, claimed = perf_counter(), 0
    # 200 webhooks have 1,000 deliveries, which may be done in less.
    while perf_counter() - start < SECONDS and (leases := list(claim_due(AT_ONCE))):
        claimed += settle_attempts([_delivered(lease) for lease in leases])
    return claimed / (perf_counter() - start)


def _delivered(lease: DeliveryLease) -> Outcome:
    return Outcome(lease, DeliveryStatus.DELIVERED, None, timezone.now(), 1, 200, "", "")


def _idle_percent() -> float:
    """Return what a worker and its session in the database use of a core, in percent."""
    sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    before = set(ask(sessions))
    command = engine_command(32)
    environment = os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "stoa_cp.settings"}
    program = Program(command[-1], command, environment)
    process = spawn(program, subprocess.DEVNULL)
    try:
        wait_until(lambda: bool(set(ask(sessions)) - before), "the worker connects", seconds=40)
        sleep(SECONDS)  # its first statements, and the imports that they cause
        ids = [process.pid, *(int(str(pid)) for (pid,) in set(ask(sessions)) - before)]
        processes = [psutil.Process(number) for number in ids]
        used, start = _cpu_seconds(processes), perf_counter()
        sleep(10 * SECONDS)
        return 100 * (_cpu_seconds(processes) - used) / (perf_counter() - start)
    finally:
        end(process, program.stop_signal, grace_seconds=STOP_SECONDS)


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
