"""Reporters and folds that are killed (kill -9) at any point: what was accepted is counted exactly once."""

import os
import subprocess
import sys
from random import Random

import pytest

from metrics.models import TrafficBatch
from metrics.rollups.fold import fold_deltas
from subscriptions.models import Subscription
from tests.databases import database_url
from tests.metrics.traffic import counted, counted_everywhere
from tests.metrics.worker import BATCHES, RECORDS
from tests.waiting import wait_until

# STOA_TEST_KILLS=25 takes two minutes.
KILLS = int(os.environ.get("STOA_TEST_KILLS", "3"))
# PostgreSQL releases the rollup lock when it notices that the process is gone.
RELEASE_SECONDS = 10


def start_worker(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.metrics.worker", *arguments],
        env=os.environ | {"DATABASE_URL": database_url()},
        stdout=subprocess.PIPE,
        text=True,
    )


def is_folded() -> bool:
    fold_deltas()
    return counted() == 0


@pytest.mark.django_db(transaction=True)
def test_records_accepted_are_records_counted(mobile: Subscription) -> None:
    chance = Random(25)  # noqa: S311 - repeatable, and no secret
    acknowledged = -1
    for _kill in range(KILLS):
        # The last batch may or may not have been counted before the kill: it is sent again.
        reporter = start_worker("report", mobile.api_id, mobile.id, str(acknowledged + 1))
        folder = start_worker("fold")
        assert reporter.stdout is not None
        for line in reporter.stdout:
            acknowledged = int(line)
            if chance.random() < 0.05 or acknowledged == BATCHES - 1:
                break
        for process in (reporter, folder):
            process.kill()
            process.communicate()

    wait_until(is_folded, "PostgreSQL releases the lock of the killed process", seconds=RELEASE_SECONDS)
    batches = TrafficBatch.objects.count()
    assert batches >= acknowledged + 1 > KILLS
    assert counted_everywhere() == {batches * RECORDS}
