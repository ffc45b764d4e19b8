"""Crowds that want the last calls of a limit: R6."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus

from apikeys.services.keys import NewKey, issue_key
from stoa_cp.domain.actors import SYSTEM
from tests.apikeys.processes import WebProcess
from tests.factories import ApiFactory, SubscriptionFactory, TenantFactory
from tests.faults.load import Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.rows.provider import settings_for
from tests.faults.world import World
from tests.kernel.identity.provider import Provider
from tests.races import at_once

CROWD, LEFT, ROUNDS = 64, 10, 5
# Each caller has made one call when the race begins, over the connection that it races on.
LIMIT = CROWD + LEFT

Limits = Mapping[str, int | None]
NONE: Limits = {"rate_limit": None, "quota": None, "requests_per_hour": None}
OF_KEYS: Mapping[str, Limits] = {
    "API": {**NONE, "requests_per_hour": LIMIT},
    "subscription": {**NONE, "rate_limit": LIMIT},
    "quota": {**NONE, "quota": LIMIT},
    "all three": dict.fromkeys(NONE, LIMIT),
}


@injects(
    Fault(
        "R6",
        f"{CROWD} callers, {LEFT} calls left",
        f"{ROUNDS} times each: a tier's calls of this API; an API's hour, a subscription's hour and month, and all "
        "three of them, asked by gateways; at two servers with two processes each",
        f"exactly {LEFT} pass",
        "tests/apikeys/test_limits.py",
    )
)
def use_up(world: World) -> Measured:
    with Provider() as provider, world.web(**settings_for(provider)) as one, world.web(**settings_for(provider)) as two:
        ports = [(one, two)[number % 2] for number in range(CROWD)]
        passed = {"tier": [_race_for_tier(ports, provider) for _round in range(ROUNDS)]}
        with _gateways(world, ports) as gateways:
            for name, limits in OF_KEYS.items():
                passed[name] = [_race_for_key(world, gateways, limits) for _round in range(ROUNDS)]
    return Measured(
        "; ".join(f"{name} {', '.join(map(str, counts))}" for name, counts in passed.items()),
        held=all(count == LEFT for counts in passed.values() for count in counts),
    )


def _race_for_tier(ports: list[int], provider: Provider) -> int:
    tenant = TenantFactory(tier="enterprise", rate_limit_per_hour=LIMIT)
    token = provider.token(sub=tenant.id, tenant_id=tenant.id)
    callers = [Caller(port, token) for port in ports]
    return _race([partial(_reads, caller, tenant.id) for caller in callers])


def _reads(caller: Caller, tenant_id: str) -> bool:
    return caller.send("GET", f"/tenants/{tenant_id}").status == HTTPStatus.OK


@contextmanager
def _gateways(world: World, ports: list[int]) -> Iterator[list[WebProcess]]:
    gateways, token = [WebProcess(port) for port in ports], world.gateway_token()
    for gateway in gateways:
        gateway.token = token
    yield gateways
    for gateway in gateways:
        gateway.close()


def _race_for_key(world: World, gateways: list[WebProcess], limits: Limits) -> int:
    tenant = world.tenant()
    api = ApiFactory(tenant=tenant, requests_per_hour=limits["requests_per_hour"])
    subscription = SubscriptionFactory(
        tenant=tenant, api=api, active=True, rate_limit=limits["rate_limit"], quota=limits["quota"]
    )
    secret = issue_key(subscription, NewKey(), by=SYSTEM).secret
    return _race([partial(_verifies, gateway, secret) for gateway in gateways])


def _verifies(gateway: WebProcess, secret: str) -> bool:
    return gateway.verify(secret) == "valid"


def _race(calls: list[Callable[[], bool]]) -> int:
    """Make each call once, then all at the same instant; return how many of these passed."""
    before = sum(call() for call in calls)
    return before + sum(at_once(*calls, connects=False)) - CROWD
