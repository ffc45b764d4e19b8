"""Waits until a condition holds that another thread or process brings about."""

from collections.abc import Callable
from time import monotonic, sleep

POLL_SECONDS = 0.02  # short beside what the tests wait for: a lease, a notification, the start of a program


class NeverHappened(Exception):
    """The condition did not hold in time; the message names it."""


def wait_until(is_so: Callable[[], bool], what: str = "the condition holds", *, seconds: float = 30) -> float:
    """Return after how many seconds ``is_so`` held. Raises NeverHappened after ``seconds``."""
    began_at = monotonic()
    while not is_so():
        if monotonic() - began_at > seconds:
            raise NeverHappened(f"not within {seconds:.0f} s: {what}")
        sleep(POLL_SECONDS)
    return monotonic() - began_at


def comes_true(is_so: Callable[[], bool], *, seconds: float) -> bool:
    """Tell whether ``is_so`` holds within ``seconds``."""
    try:
        wait_until(is_so, "", seconds=seconds)
    except NeverHappened:
        return False
    return True
