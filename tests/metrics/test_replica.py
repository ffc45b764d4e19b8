"""Reading metrics from a replica."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from subscriptions.models import Subscription
from tests.conftest import Caller
from tests.metrics.traffic import fold_all, record_of, report

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica"])


def test_metrics_are_read_from_the_replica_and_nothing_else_is(
    alice: Caller, mobile: Subscription, settings: Settings
) -> None:
    report(record_of(mobile))
    fold_all()
    report(record_of(mobile))

    for database, statements in (("default", 0), ("replica", 1)):
        settings.STOA_METRICS_DATABASE = database
        with CaptureQueriesContext(connections["replica"]) as asked:
            answer = alice.get("/v1/tenants/acme/metrics").json()
        assert answer["totals"]["requests"] == 2
        assert len(asked) == statements
