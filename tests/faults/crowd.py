"""Callers who act at the same instant."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.faults.load import Call, Caller
from tests.faults.world import World
from tests.races import at_once


@contextmanager
def crowd(world: World, size: int) -> Iterator[list[Caller]]:
    """Run two servers with two processes each; callers have an open connection to one of them."""
    with world.web() as one, world.web() as other:
        callers = [Caller((one, other)[number % 2], world.token) for number in range(size)]
        for caller in callers:
            caller.send("GET", "/me")
        yield callers


def post_at_once(callers: list[Caller], path: str, body: Any, **headers: str) -> list[Call]:
    """Let all callers send the same."""
    return at_once(*[partial(caller.post, path, body, **headers) for caller in callers], connects=False)
