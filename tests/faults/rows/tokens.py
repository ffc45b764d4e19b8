"""A provider that is away or changes its keys, and tokens made to deceive: J1, J4 and J6."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from time import monotonic, sleep
from uuid import uuid4

from stoa_cp.devserver.programs import WEB_PROCESSES
from stoa_cp.identity.jwks import SECONDS_BETWEEN_FETCHES
from stoa_cp.identity.models import SigningKeySet
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.rows.provider import ROLES, ask, settings_for
from tests.faults.world import World
from tests.kernel.identity.crafted_tokens import CRAFTED
from tests.kernel.identity.provider import Provider, ec_jwk, rsa_jwk, rsa_key, sign
from tests.races import at_once

TOKENS, CALLERS = 500, 8
HOURS = 23  # of the 24 that are promised
WINDOW_SECONDS = 10.0
POLL_SECONDS, WATCHED_SECONDS = 0.05, 15.0
CRAFTED_ROUNDS = 4  # over new connections, so that as a rule both processes see each token
TOO_LARGE_FOR_THE_SERVER = "a megabyte"


def new_tokens(provider: Provider, count: int, kid: str = "first") -> list[str]:
    """Return tokens that nobody has seen yet."""
    return [provider.token(kid=kid, sub=str(uuid4()), realm_access=ROLES) for _number in range(count)]


@injects(
    Fault(
        "J1",
        "JWKS away, cache warm",
        f"provider stopped between two times {TOKENS} new tokens at a server with {WEB_PROCESSES} processes; then "
        f"{TOKENS} at a server that starts meanwhile with stored keys of {HOURS} hours ago",
        "401 = 0; all 200",
        "tests/kernel/identity/test_signing_key_store.py",
    )
)
def stop_the_provider(world: World) -> Measured:
    with Provider() as provider:
        with world.web(**settings_for(provider)) as port:
            before = ask(port, new_tokens(provider, TOKENS), CALLERS)
            provider.stop()
            meanwhile = ask(port, new_tokens(provider, TOKENS), CALLERS)
        long_ago = datetime.now(UTC) - timedelta(hours=HOURS)
        stored = SigningKeySet.objects.filter(issuer=provider.url).update(fetched_at=long_ago)
        with world.web(**settings_for(provider)) as port:
            restarted = ask(port, new_tokens(provider, TOKENS), CALLERS)
    return Measured(
        f"before {statuses(before)}, without the provider {statuses(meanwhile)}, after a restart {statuses(restarted)}",
        held=stored == 1 and statuses(before + meanwhile + restarted) == {HTTPStatus.OK: 3 * TOKENS},
    )


def statuses(calls: list[Call]) -> dict[int, int]:
    return dict(Counter(call.status for call in calls))


@injects(
    Fault(
        "J4",
        "keys rotated at the issuer",
        f"swap, just after strangers have used up the fetch of these {SECONDS_BETWEEN_FETCHES} s in each of "
        f"{WEB_PROCESSES} processes; {CALLERS} callers with tokens of the new key",
        f"401 window ≤ {WINDOW_SECONDS:.0f} s; tokens of the old key are refused from then on",
        "tests/kernel/identity/test_signing_key_store.py",
    )
)
def swap_keys(world: World) -> Measured:
    with Provider() as provider, world.web(**settings_for(provider)) as port:
        old = new_tokens(provider, CALLERS)
        good = ask(port, old, CALLERS)
        guesses = [sign(provider.claims(), rsa_key("attacker"), kid=str(uuid4())) for _guess in range(4 * CALLERS)]
        sleep(SECONDS_BETWEEN_FETCHES)
        ask(port, guesses, CALLERS)
        provider.keys, swapped_at = [rsa_jwk("second")], monotonic()
        calls = _watch(port, new_tokens(provider, CALLERS, kid="second"), swapped_at + WATCHED_SECONDS)
        gone = ask(port, old, CALLERS)
    refusals = [call.began_at - swapped_at for call in calls if call.status == HTTPStatus.UNAUTHORIZED]
    window = max(refusals, default=0.0)
    return Measured(
        f"401 window {window:.1f} s; new tokens {statuses(calls)}; old ones {statuses(good)}, then {statuses(gone)}",
        held=0 < window <= WINDOW_SECONDS
        and set(statuses(calls)) == {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}
        and statuses(good) == {HTTPStatus.OK: CALLERS}
        and statuses(gone) == {HTTPStatus.UNAUTHORIZED: CALLERS},
    )


def _watch(port: int, tokens: list[str], until: float) -> list[Call]:
    """Ask again and again, until a moment of the monotonic clock."""

    def poll(caller: Caller) -> list[Call]:
        calls = []
        while monotonic() < until:
            calls.append(caller.send("GET", "/me"))
            sleep(POLL_SECONDS)
        return calls

    answers = at_once(*[partial(poll, Caller(port, token)) for token in tokens], connects=False)
    return [call for calls in answers for call in calls]


@injects(
    Fault(
        "J6",
        f"{len(CRAFTED) + 1} crafted tokens",
        f"a table, {CRAFTED_ROUNDS} times over new connections: alg none, HS256 with the public key, wrong iss, aud, "
        "azp and typ, ID token, expired, no exp, nbf, kid with NUL, path and SQL, `jku`, `crit`, 1 MB, …",
        "all 401 (1 MB: the HTTP server's own refusal); nobody visits the `jku`; a genuine token 200 before and after",
        "tests/kernel/identity/test_crafted_tokens.py",
    )
)
def deceive(world: World) -> Measured:
    with Provider() as provider, Provider() as attacker, world.web(**_craft_settings(provider)) as port:
        provider.keys = [rsa_jwk("first"), rsa_jwk("enc", use="enc"), ec_jwk("curve")]
        address = {"jku": attacker.jwks_url, "x5u": attacker.jwks_url}
        tokens = {name: craft(provider) for name, craft in CRAFTED.items()}
        tokens["the attacker's address"] = sign(provider.claims(), rsa_key("attacker"), kid="mine", **address)
        genuine = ask(port, new_tokens(provider, 2 * CALLERS), CALLERS)
        answers = {name: _statuses_of(port, token) for name, token in tokens.items()}
        genuine += ask(port, new_tokens(provider, 2 * CALLERS), CALLERS)
    large = answers.pop(TOO_LARGE_FOR_THE_SERVER)
    passed = {name: found for name, found in answers.items() if found != {HTTPStatus.UNAUTHORIZED}}
    return Measured(
        f"401 for {len(answers) - len(passed)} of {len(answers)}, others {passed}; 1 MB {sorted(large)}; "
        f"visits to the `jku` {attacker.fetches}; genuine {statuses(genuine)}",
        held=not passed
        and large <= {0, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HTTPStatus.UNAUTHORIZED}
        and attacker.fetches == 0
        and set(statuses(genuine)) == {HTTPStatus.OK},
    )


def _craft_settings(provider: Provider) -> dict[str, str]:
    return settings_for(provider) | {"STOA_OIDC_ALLOWED_AZP": "ci-robot"}


def _statuses_of(port: int, token: str) -> set[int]:
    """Ask with a token, whose letters beyond ASCII go as the bytes of UTF-8."""
    octets = token.encode("utf-8", "surrogatepass").decode("latin-1")
    return {Caller(port, octets).send("GET", "/me").status for _round in range(CRAFTED_ROUNDS)}
