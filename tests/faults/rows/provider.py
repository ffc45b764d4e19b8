"""An identity provider that hangs, and tokens that name keys it has never had: J2 and J3."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http import HTTPStatus
from threading import Barrier
from time import monotonic
from uuid import uuid4

from django.db.models import F

from stoa_cp.devserver.programs import WEB_PROCESSES
from stoa_cp.identity.jwks import FRESH_SECONDS, SECONDS_BETWEEN_FETCHES
from stoa_cp.identity.models import SigningKeySet
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import World
from tests.kernel.identity.provider import Provider, rsa_key, sign

CROWD, ROUNDS = 32, 3
EXTRA_SECONDS = 0.05
TOKENS, CALLERS = 1000, 8
BARRIER_SECONDS = 20
ROLES = {"roles": ["cpi-admin"]}


def settings_for(provider: Provider) -> dict[str, str]:
    return {
        "STOA_OIDC_ISSUER": provider.url,
        "STOA_OIDC_JWKS_URL": provider.jwks_url,
        "STOA_ANONYMOUS_RATE_LIMIT": "100000000",
    }


def ask(port: int, tokens: list[str], callers: int) -> list[Call]:
    """Ask who each token is, ``callers`` at once, from the same instant on; return the answers."""
    barrier = Barrier(callers)

    def run(share: list[str]) -> list[Call]:
        barrier.wait(BARRIER_SECONDS)
        return [Caller(port, token).send("GET", "/me") for token in share]

    with ThreadPoolExecutor(callers) as pool:
        answers = pool.map(run, [tokens[number::callers] for number in range(callers)])
        return [call for calls in answers for call in calls]


def slowest_of_rounds(world: World, provider: Provider) -> tuple[float, Counter[int]]:
    """Return the slowest answer of the best round (noise of the machine only ever adds), and all statuses."""
    slowest, statuses = float("inf"), Counter[int]()
    for _round in range(ROUNDS):
        SigningKeySet.objects.filter(issuer=provider.url).update(
            fetched_at=F("fetched_at") - timedelta(seconds=FRESH_SECONDS + 60)
        )
        with world.web(**settings_for(provider)) as port:
            ask(port, ["no token"] * 2 * CROWD, CROWD)  # the first calls of a process are slow
            tokens = [provider.token(sub=str(uuid4()), realm_access=ROLES) for _number in range(CROWD)]
            calls = ask(port, tokens, CROWD)
        statuses.update(call.status for call in calls)
        slowest = min(slowest, max(call.seconds for call in calls))
    return slowest, statuses


@injects(
    Fault(
        "J2",
        f"JWKS hangs, cache expired, {CROWD} requests at once",
        f"silent provider, {ROUNDS} servers that start with stored keys of {FRESH_SECONDS // 60 + 1} minutes ago",
        f"slowest ≤ {EXTRA_SECONDS * 1000:.0f} ms more than beside a provider that answers; all 200",
        "tests/kernel/identity/test_signing_key_store.py",
    )
)
def hang(world: World) -> Measured:
    with Provider() as provider:
        with world.web(**settings_for(provider)) as port:
            Caller(port, provider.token(realm_access=ROLES)).send("GET", "/me")  # keys are fetched
            Caller(port, provider.token(realm_access=ROLES)).send("GET", "/me")  # and stored
        usual, first = slowest_of_rounds(world, provider)
        provider.mood, before = "silent", provider.fetches
        hanging, second = slowest_of_rounds(world, provider)
        hung = provider.fetches - before
    return Measured(
        f"slowest {usual * 1000:.0f} ms, with a silent provider {hanging * 1000:.0f} ms; {hung} fetches hung; "
        f"statuses {dict(first + second)}",
        held=hanging - usual <= EXTRA_SECONDS and set(first + second) == {HTTPStatus.OK} and hung >= ROUNDS,
    )


@injects(
    Fault(
        "J3",
        f"{TOKENS:,} tokens with random `kid`",
        f"{CALLERS} callers at a server with {WEB_PROCESSES} processes",
        f"≤ 1 fetch per {SECONDS_BETWEEN_FETCHES} s and process; all 401",
        "tests/kernel/identity/test_signing_key_store.py",
    )
)
def guess_keys(world: World) -> Measured:
    with Provider() as provider:
        tokens = [sign(provider.claims(), rsa_key("attacker"), kid=str(uuid4())) for _token in range(TOKENS)]
        with world.web(**settings_for(provider)) as port:
            began_at = monotonic()
            statuses = Counter(call.status for call in ask(port, tokens, CALLERS))
            seconds = monotonic() - began_at
        fetches = provider.fetches
    allowed = WEB_PROCESSES * (1 + int(seconds / SECONDS_BETWEEN_FETCHES))
    return Measured(
        f"{fetches} fetches ≤ {allowed} in {seconds:.1f} s; statuses {dict(statuses)}",
        held=1 <= fetches <= allowed and set(statuses) == {HTTPStatus.UNAUTHORIZED},
    )
