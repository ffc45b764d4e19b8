"""A process that reports or folds until it is killed: ``python -m tests.metrics.worker report|fold …``."""

import sys

import django

RECORDS = 40
BATCHES = 400


def report(api_id: str, subscription_id: str, start: int) -> None:
    """Report the batches from ``start`` on, and print the number of each that was accepted or known."""
    from django.utils import timezone

    from metrics.ingest.batches import Batch
    from metrics.services import ingest_batch
    from tests.metrics.traffic import EDGE

    record = {"api_id": api_id, "subscription_id": subscription_id, "status": 200, "latency_ms": 87}
    for number in range(start, BATCHES):
        records = [record | {"timestamp": timezone.now().isoformat()}] * RECORDS
        ingest_batch(Batch(f"killed-{number}", records), by=EDGE)
        print(number, flush=True)  # noqa: T201 - the acknowledgement that the test waits for


def fold() -> None:
    """Fold for ever, three deltas at a time, so that a kill often hits a transaction."""
    from metrics.rollups.fold import fold_deltas

    while True:
        fold_deltas(limit=3)


if __name__ == "__main__":
    django.setup()
    match sys.argv[1:]:
        case ["report", api_id, subscription_id, start]:
            report(api_id, subscription_id, int(start))
        case ["fold"]:
            fold()
