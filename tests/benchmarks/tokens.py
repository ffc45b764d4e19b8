"""Whom a bearer token speaks for, when this process has seen it before; against PyJWT on each call."""

from collections.abc import Callable, Iterator
from statistics import median
from timeit import timeit

import jwt
from django.test import override_settings

from stoa_cp.identity.authentication import authenticate_bearer
from tests.benchmarks.naive.catalog import verify
from tests.benchmarks.results import ROUNDS, Row
from tests.kernel.identity.provider import Provider

CALLS = 2_000
GOAL_MICROSECONDS = 5


def token_rows() -> Iterator[Row]:
    """Measure the functions, without HTTP."""
    with Provider() as provider, override_settings(STOA_OIDC_ISSUER=provider.url):
        token, keys = provider.token(), jwt.PyJWKClient(provider.jwks_url)
        rounds = [
            (_microseconds(lambda: authenticate_bearer(f"Bearer {token}")), _microseconds(lambda: verify(token, keys)))
            for _round in range(ROUNDS)
        ]
    ours, naive = (median(one[place] for one in rounds) for place in (0, 1))
    name, measured = "repeated bearer token", f"{ours:.1f} µs"
    yield Row(name, measured, f"≤ {GOAL_MICROSECONDS} µs", GOAL_MICROSECONDS / ours, goal=1)
    yield Row(f"{name}, against PyJWT", measured, f"{naive:.0f} µs", naive / ours)


def _microseconds(call: Callable[[], object]) -> float:
    call()  # fetches the keys, and remembers the token
    return timeit(call, number=CALLS) / CALLS * 1e6
