"""What can be measured, by the name that the command line knows."""

from collections.abc import Callable, Iterable, Sequence

from tests.benchmarks.databases import own_database
from tests.benchmarks.deliveries import delivery_rows
from tests.benchmarks.delivery_delay import delivery_delay_rows
from tests.benchmarks.depth import depth_rows
from tests.benchmarks.footprint import footprint_rows
from tests.benchmarks.ingestion import ingestion_rows
from tests.benchmarks.lists import list_rows
from tests.benchmarks.many_webhooks import many_webhooks_rows
from tests.benchmarks.many_workers import many_workers_rows
from tests.benchmarks.naive.models import Attempt, Batch, Delivery, Record, Usage
from tests.benchmarks.queries import query_rows
from tests.benchmarks.results import Row, write_results
from tests.benchmarks.slow_receivers import slow_receiver_rows
from tests.benchmarks.storage import storage_rows
from tests.benchmarks.tokens import token_rows
from tests.benchmarks.verification import verification_rows

SUBJECTS: dict[str, Callable[[], Iterable[Row]]] = {
    "verification": verification_rows,
    "lists": list_rows,
    "ingestion": ingestion_rows,
    "storage": storage_rows,
    "queries": query_rows,
    "deliveries": delivery_rows,
    "slow_receivers": slow_receiver_rows,
    "many_workers": many_workers_rows,
    "many_webhooks": many_webhooks_rows,
    "delivery_delay": delivery_delay_rows,
    "tokens": token_rows,
    "footprint": footprint_rows,
    "depth": depth_rows,  # last: it leaves a million APIs behind
}


def measure_subjects(names: Sequence[str]) -> None:
    """Measure these subjects, or all; each writes its rows when it is done. Raises SystemExit for an unknown name."""
    unknown = set(names) - SUBJECTS.keys()
    if unknown:
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}; there are: {', '.join(SUBJECTS)}.")
    with own_database(Usage, Batch, Record, Delivery, Attempt):
        for name in names or SUBJECTS:
            write_results(SUBJECTS[name]())
