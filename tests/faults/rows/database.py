"""A database that crashes, or hangs up on everybody: D1 and D2."""

from http import HTTPStatus
from time import monotonic, sleep

from django.db import connection

from catalog.models import Api
from stoa_cp.eventlog.models import Event
from tests.faults.load import Call, Caller, Load, writing
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.processes import run_program
from tests.faults.rows.broker import are_heard, count_lost
from tests.faults.world import START_SECONDS, World
from tests.waiting import comes_true, wait_until
from tests.webhooks.receivers import Receiver

CALLERS = 4
RESTARTS = 2
BACK_SECONDS = 3.0
TERMINATIONS = 5
PATIENCE_SECONDS = 60  # a lease, and what a loaded machine takes

TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@injects(
    Fault(
        "D1",
        "PostgreSQL crashes mid-run",
        f"`pg_ctl restart --mode immediate` × {RESTARTS} under {CALLERS} writers, Celery and a receiver",
        f"only 503 in our format; first success ≤ {BACK_SECONDS:.0f} s after it is back; committed rows lost 0",
    )
)
def crash(world: World) -> Measured:
    tenant = world.tenant()
    with Receiver().running() as receiver, world.web() as port, world.celery():
        world.webhooks(tenant, receiver.url)
        await_first_delivery(world, port, tenant.id, receiver)
        with writing(port, world.token, tenant.id, callers=CALLERS) as load:
            back_at = [_restart(world) for _time in range(RESTARTS)]
            sleep(BACK_SECONDS)
        connection.close()
        delays = [first_success(load, moment) for moment in back_at]
        created = load.created()
        comes_true(lambda: are_heard(created, receiver), seconds=PATIENCE_SECONDS)
    unexpected = [call for call in load.calls if call.status != HTTPStatus.CREATED and not is_our_503(call)]
    lost = len(created) - Api.objects.filter(pk__in=created).count()
    unheard = count_lost(created, receiver)
    return Measured(
        f"statuses {load.statuses()}, others than our 503: {described(unexpected)}; first success after "
        f"{' and '.join(f'{delay:.1f} s' for delay in delays)}; "
        f"of {len(created)} rows lost {lost}, events lost {unheard}",
        held=not unexpected and max(delays) <= BACK_SECONDS and lost == 0 and unheard == 0,
    )


def await_first_delivery(world: World, port: int, tenant_id: str, receiver: Receiver) -> None:
    Caller(port, world.token).create_api(tenant_id)
    wait_until(lambda: bool(receiver.received), "the first event is delivered", seconds=START_SECONDS)


def _restart(world: World) -> float:
    """Crash the server and start it again; return when it was back."""
    sleep(2.0)
    program = world.server.cluster.program(
        "pg_ctl", "restart", "--mode=immediate", "-w", "-D", str(world.server.cluster.data), "-l", "/dev/null"
    )
    run_program(program)
    return monotonic()


def first_success(load: Load, moment: float) -> float:
    """Return how long after a moment the first success was answered, infinity if there was none."""
    ends = [call.ended_at for call in load.calls if call.status == HTTPStatus.CREATED and call.ended_at >= moment]
    return min(ends, default=float("inf")) - moment


def described(unexpected: list[Call]) -> str:
    """Return how many answers were none of ours, and what the first of them was."""
    if not unexpected:
        return "0"
    return f"{len(unexpected)} ({unexpected[0].body[:80].decode(errors='replace')} after {unexpected[0].seconds:.1f} s)"


def is_our_503(call: Call) -> bool:
    if call.status != HTTPStatus.SERVICE_UNAVAILABLE:
        return False
    error = call.json["error"]
    return error["code"] == "internal_error" and [detail["code"] for detail in error["details"]] == ["unavailable"]


@injects(
    Fault(
        "D2",
        "all database sessions terminated",
        f"`pg_terminate_backend` × {TERMINATIONS} under {CALLERS} writers",
        "errors ≤ requests in flight, each our 503; committed rows lost 0",
        "tests/kernel/observability/test_sessions_cut_off.py",
    )
)
def hang_up(world: World) -> Measured:
    tenant = world.tenant()
    with Receiver().running() as receiver, world.web() as port, world.celery():
        world.webhooks(tenant, receiver.url)
        await_first_delivery(world, port, tenant.id, receiver)
        with writing(port, world.token, tenant.id, callers=CALLERS) as load:
            for _time in range(TERMINATIONS):
                sleep(1.0)
                with connection.cursor() as cursor:
                    cursor.execute(TERMINATE)
            sleep(1.0)
        created = load.created()
        comes_true(lambda: are_heard(created, receiver), seconds=PATIENCE_SECONDS)
    errors = [call for call in load.calls if call.status != HTTPStatus.CREATED]
    unexpected = [call for call in errors if not is_our_503(call)]
    lost = len(created) - Api.objects.filter(pk__in=created).count()
    without_event = len(created) - Event.objects.filter(tenant_id=tenant.id, data__id__in=created).count()
    unheard = count_lost(created, receiver)
    return Measured(
        f"statuses {load.statuses()}, others than our 503: {described(unexpected)}; errors {len(errors)} ≤ "
        f"{TERMINATIONS} × {CALLERS}; of {len(created)} rows lost {lost}, events lost {without_event + unheard}",
        held=len(errors) <= TERMINATIONS * CALLERS and not unexpected and lost + without_event + unheard == 0,
    )
