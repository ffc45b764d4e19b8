"""POST /v1/gateway/traffic: what gateways send over HTTP."""

import gzip
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.test import Client

from catalog.authentication import HEADER
from catalog.services.gateways import create_gateway
from metrics.models import TrafficBatch
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tests.conftest import Caller
from tests.metrics.traffic import counted, record_of

pytestmark = pytest.mark.django_db

URL = "/v1/gateway/traffic"
Post = Callable[..., Any]


@pytest.fixture
def edge(db: None) -> Post:
    """Post as the gateway edge-1: ``edge(body, media type, batch_id=…, **headers)``."""
    token = create_gateway("edge-1", by=SYSTEM).secret
    client = Client(raise_request_exception=False)

    def post(body: bytes, media_type: str = "application/json", query: str = "", **headers: str) -> Any:
        return client.post(URL + query, body, content_type=media_type, headers={HEADER: token} | headers)

    return post


def document(*records: Any, batch_id: str = "b-1") -> bytes:
    return json.dumps({"batch_id": batch_id, "records": records}).encode()


def test_a_document_is_counted_once(edge: Post, mobile: Subscription) -> None:
    body = document(record_of(mobile), record_of(mobile))

    first, second = edge(body), edge(body)

    assert first.status_code == second.status_code == 200
    assert first.json() == {"accepted": 2, "duplicate": False, "refused": []}
    assert second.json() == {"accepted": 0, "duplicate": True}
    assert counted() == 2


def test_lines_are_counted_also_when_compressed(edge: Post, mobile: Subscription) -> None:
    body = b"\n".join(json.dumps(record_of(mobile)).encode() for _ in range(3))

    response = edge(gzip.compress(body), "application/x-ndjson", "?batch_id=b-1", **{"Content-Encoding": "gzip"})

    assert response.json()["accepted"] == 3


def test_refusals_name_index_and_reason(edge: Post, mobile: Subscription) -> None:
    response = edge(document(record_of(mobile), record_of(mobile, status=999)))

    assert response.json() == {
        "accepted": 1,
        "duplicate": False,
        "refused": [{"index": 1, "code": "out_of_range", "message": "status must be a whole number from 100 to 599."}],
    }


def test_ten_thousand_records_pass_in_one_batch(edge: Post, mobile: Subscription) -> None:
    body = document(*[record_of(mobile)] * 10_000)
    assert len(body) > 1_000_000
    assert edge(body).json()["accepted"] == 10_000


def test_a_batch_costs_three_statements(
    edge: Post, mobile: Subscription, django_assert_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    edge(document(record_of(mobile)))
    with django_assert_num_queries(3):  # who reports, what exists, the batch with its counts
        assert edge(document(record_of(mobile), batch_id="b-2")).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "media_type", "headers", "status"),
    [
        (b"", "application/json", {}, 400),
        (b"nonsense", "application/json", {}, 400),
        (document(*[{}] * 10_001), "application/json", {}, 400),
        (b"{}", "application/x-ndjson", {}, 400),
        (b"a,b", "text/csv", {}, 415),
        (b"{}", "application/json", {"Content-Encoding": "br"}, 415),
        (gzip.compress(document())[:-5], "application/json", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"\0" * 2**27), "application/json", {"Content-Encoding": "gzip"}, 413),
        (b" " * (8 * 2**20 + 1), "application/json", {}, 413),
    ],
    ids=["empty", "nonsense", "too many", "no batch id", "csv", "brotli", "cut", "bomb", "too large"],
)
def test_what_is_no_batch_is_refused(
    edge: Post, body: bytes, media_type: str, headers: dict[str, str], status: int
) -> None:
    response = edge(body, media_type, **headers)
    assert response.status_code == status
    assert response.json()["error"]["code"] == "validation_error"
    assert not TrafficBatch.objects.exists()


def test_a_dry_run_counts_nothing(edge: Post, mobile: Subscription) -> None:
    body = document(record_of(mobile))
    assert edge(body, query="?dry_run=true").json()["accepted"] == 1
    assert counted() == 0
    assert edge(body).json()["accepted"] == 1


def test_an_idempotency_key_does_not_hinder_a_large_batch(edge: Post, mobile: Subscription) -> None:
    body = document(*[record_of(mobile)] * 5_000)
    assert edge(body, **{"Idempotency-Key": "k-1"}).json()["accepted"] == 5_000


def test_only_gateways_and_the_platform_report(
    alice: Caller, olga: Caller, anonymous: Caller, mobile: Subscription
) -> None:
    body = {"batch_id": "b-1", "records": [record_of(mobile)]}
    assert anonymous.post(URL, body).status_code == 401
    assert alice.post(URL, body).status_code == 403
    assert olga.post(URL, body).json()["accepted"] == 1


def test_a_withdrawn_token_reports_nothing(mobile: Subscription) -> None:
    response = Client().post(URL, document(record_of(mobile)), "application/json", headers={HEADER: "stoa_gtw_none"})
    assert response.status_code == 401
