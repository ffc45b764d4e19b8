"""Waits for what other processes bring about."""

from collections.abc import Callable
from time import monotonic, sleep

POLL_SECONDS = 0.02


class NeverHappened(Exception):
    """What was waited for did not come about in time; the message says what."""


def wait_until(is_so: Callable[[], bool], what: str = "it comes to that", *, seconds: float = 30) -> float:
    """Return after how many seconds ``is_so`` came to hold. Raises NeverHappened."""
    began_at = monotonic()
    while not is_so():
        if monotonic() - began_at > seconds:
            raise NeverHappened(f"not within {seconds:.0f} s: {what}")
        sleep(POLL_SECONDS)
    return monotonic() - began_at


def comes_true(is_so: Callable[[], bool], *, seconds: float) -> bool:
    """Tell whether ``is_so`` comes to hold in time."""
    try:
        wait_until(is_so, "", seconds=seconds)
    except NeverHappened:
        return False
    return True
