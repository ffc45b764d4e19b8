"""Runs deliveries: fans events out, claims what is due, sends in threads, settles in batches."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Self

from webhooks.delivery.client import DEADLINE_SECONDS, Client
from webhooks.delivery.fan_out import fan_out_events
from webhooks.delivery.health import settle_attempts
from webhooks.delivery.queue import Outcome, claim_due
from webhooks.delivery.send import send

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25  # how long new work may wait while all that is in hand is slow
LINGER_SECONDS = 0.005  # how long a finished attempt may wait for others to be settled with


class DeliveryWorker:
    """Owns the threads of one run. Only the thread that calls ``drain`` talks to the database."""

    def __init__(self, threads: int, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._threads = threads
        self._client = Client(deadline_seconds)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhook")
        self._finished: SimpleQueue[Future[Outcome]] = SimpleQueue()
        self._in_flight = self._finished_per_tick = 0
        self._next_look_at = 0.0

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._client.__exit__()

    def drain(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Deliver until nothing is due, or until told to stop; what is on the wire then is waited for.

        Return how many attempts were settled.
        """
        settled = 0
        while True:
            if not should_stop():
                self._look_for_events()
                self._start()
            if not self._in_flight:
                return settled
            settled += self._settle()

    def _look_for_events(self) -> None:
        """Fan out what waits, now and then: a busy engine needs no more work just yet."""
        if monotonic() >= self._next_look_at:
            while fan_out_events():
                pass
            self._next_look_at = monotonic() + POLL_SECONDS

    def _start(self) -> None:
        # As many again as have just finished wait at the threads' door, so that none idles while we settle and claim.
        # Where receivers are slow, next to nothing finishes at a time, and no delivery waits that another worker
        # could send.
        wanted = self._threads + min(self._finished_per_tick, self._threads // 2) - self._in_flight
        for lease in claim_due(wanted) if wanted > 0 else ():
            self._pool.submit(send, self._client, lease).add_done_callback(self._finished.put)
            self._in_flight += 1

    def _settle(self) -> int:
        futures = self._collect()
        self._finished_per_tick = len(futures)
        self._in_flight -= self._finished_per_tick
        outcomes = []
        for future in futures:
            error = future.exception()
            if error is None:
                outcomes.append(future.result())
            else:
                # Our own fault, such as a lost encryption key. The lease ends, and it is tried again.
                logger.error("delivery crashed", exc_info=error)
        return settle_attempts(outcomes) if outcomes else 0

    def _collect(self) -> list[Future[Outcome]]:
        """Wait for a finished attempt, a little longer for its neighbours, and return them all."""
        futures: list[Future[Outcome]] = []
        ends_at = monotonic() + POLL_SECONDS
        while len(futures) < self._in_flight:
            try:
                futures.append(self._finished.get(timeout=max(0.0, ends_at - monotonic())))
            except Empty:
                break
            ends_at = min(ends_at, monotonic() + LINGER_SECONDS)
        return futures
