"""Delivers what is due: fans events out, claims deliveries, sends them in threads, and settles them in batches."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Self

from stoa_cp.observability.worker_metrics import worker_metrics
from webhooks.delivery.client import DEADLINE_SECONDS, WebhookClient
from webhooks.delivery.fan_out import FAN_OUT_BATCH_SIZE, fan_out_events
from webhooks.delivery.health import settle_attempts
from webhooks.delivery.queue import DeliveryLease, Outcome, claim_due, has_work
from webhooks.delivery.replay import continue_replay
from webhooks.delivery.reporting import report_attempts, report_crash
from webhooks.delivery.send import send

# How long new work may wait while every attempt in flight is slow: this thread waits for a finished attempt no longer.
POLL_SECONDS = 0.25
# How long a finished attempt waits for others to be settled with. Far below what a receiver takes to respond, and
# enough for the attempts of a burst to share one transaction.
LINGER_SECONDS = 0.005


class DeliveryWorker:
    """The threads of one run. Only the thread that calls ``drain`` uses the database; the others only send."""

    def __init__(self, threads: int, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._threads = threads
        self._client = WebhookClient(deadline_seconds)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhook")
        self._finished: SimpleQueue[Future[Outcome]] = SimpleQueue()
        self._in_flight = self._finished_per_tick = 0
        self._next_writing_at = 0.0
        self._has_more_to_write = False

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._client.__exit__()
        worker_metrics.flush()

    def drain(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Deliver until nothing is due; return how many attempts were settled.

        The delivery loop, unless there is nothing to do:

        1. Write new deliveries: of new events and of replays, at most every 250 ms.
        2. Claim due deliveries for the free threads, and some in advance.
        3. Wait for finished attempts, at most 250 ms.
        4. Settle them in one transaction, and start again.

        Once ``should_stop`` returns True, it claims nothing more, and waits for the attempts in flight.
        """
        settled = 0
        if not self._in_flight and not has_work():
            return settled
        while True:
            if should_stop():
                self._has_more_to_write = False
            else:
                self._write_deliveries()
                self._claim_more()
            worker_metrics.flush_if_due()
            if self._in_flight:
                settled += self.settle_finished()
            elif not self._has_more_to_write:
                return settled

    def submit(self, lease: DeliveryLease) -> None:
        """Send a leased delivery in one of the threads."""
        self._pool.submit(send, self._client, lease).add_done_callback(self._finished.put)
        self._in_flight += 1

    def settle_finished(self) -> int:
        """Wait for finished attempts and settle them; return how many were still ours to settle."""
        futures = self._wait_for_finished()
        self._finished_per_tick = len(futures)
        self._in_flight -= self._finished_per_tick
        outcomes = []
        for future in futures:
            error = future.exception()
            if error is None:
                outcomes.append(future.result())
            else:
                # A fault on our side, such as a lost encryption key. It must not stop the other deliveries. This one is
                # not settled: its lease ends, and it is tried again.
                report_crash(error)
        report_attempts(outcomes)
        return settle_attempts(outcomes) if outcomes else 0

    def _write_deliveries(self) -> None:
        # Not in every round: a busy worker has enough deliveries, and a round can be as short as 5 ms. With a backlog,
        # one batch of events and one portion of a replay a round: this thread also claims and settles for all tenants,
        # and a backlog of 20,000 events takes minutes.
        if monotonic() >= self._next_writing_at:
            is_batch_full = fan_out_events() == FAN_OUT_BATCH_SIZE
            self._has_more_to_write = continue_replay() or is_batch_full
            self._next_writing_at = monotonic() + (0.0 if self._has_more_to_write else POLL_SECONDS)

    def _claim_more(self) -> None:
        # Claim up to 50 % more deliveries than there are threads when deliveries finish fast, so that threads do
        # not idle during the next settlement and claim. With slow receivers few finish at a time, so few are
        # claimed in advance, and other workers can take them. The bound also limits the duplicates after a kill: 24
        # for 16 threads.
        in_advance = min(self._finished_per_tick, self._threads // 2)
        wanted = self._threads + in_advance - self._in_flight
        for lease in claim_due(wanted) if wanted > 0 else ():
            self.submit(lease)

    def _wait_for_finished(self) -> list[Future[Outcome]]:
        """Wait for a finished attempt, then a little longer for others, and return them all.

        With deliveries to write, it does not wait.
        """
        futures: list[Future[Outcome]] = []
        ends_at = monotonic() + (0.0 if self._has_more_to_write else POLL_SECONDS)
        while len(futures) < self._in_flight:
            try:
                futures.append(self._finished.get(timeout=max(0.0, ends_at - monotonic())))
            except Empty:
                break
            # 5 ms from the first one on. Later ones do not extend it: the threads that they leave wait for new work.
            ends_at = min(ends_at, monotonic() + LINGER_SECONDS)
        return futures
