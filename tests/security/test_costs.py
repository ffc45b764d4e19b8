"""What one request may cost: its CPU, the size of its answer, and what the process keeps of it."""

import base64
import json
import time
from typing import Any

import pytest
from django.conf import settings
from django.utils import translation

from apikeys.gateway import middleware
from apikeys.gateway.middleware import MAX_ACCEPT_LANGUAGE_CHARS, language_of
from stoa_cp.domain.errors import InvalidField
from stoa_cp.rest.parsers import parse_json
from stoa_cp.rest.problems import MAX_DETAILS
from tenants.models import Tenant
from tests.conftest import Caller
from tests.contract.operations import TABLE, filled
from tests.contract.world import build_world

LIMIT = settings.STOA_MAX_BODY_BYTES
# The writes whose bodies have fields.
WRITES = [
    operation for operation, (_roles, body) in TABLE.items() if operation[0] != "get" and body and "openapi" not in body
]
NAMES = 28_000  # as many short names as a body has room for


def cpu_seconds_of(body: bytes) -> float:
    begun_at = time.process_time()
    # The language of the last request stays active in its thread.
    with translation.override("en"), pytest.raises(InvalidField, match="appears twice"):
        parse_json(body)
    return time.process_time() - begun_at


@pytest.mark.deadline
def test_a_doubled_name_among_many_is_found_in_one_pass() -> None:
    members = ",".join(f'"{number:x}":0' for number in range(NAMES))
    assert cpu_seconds_of(f'{{{members},"{NAMES - 1:x}":1}}'.encode()) < 1  # 11 s when each name was counted anew


@pytest.mark.django_db
def test_a_refusal_shows_twenty_details_and_counts_the_rest(alice: Caller, acme: Tenant) -> None:
    wrong = {f"field-{number}": None for number in range(5_000)}
    response = alice.post("/v1/tenants/acme/apis", wrong)
    error = response.json()["error"]
    assert response.status_code == 400
    assert len(error["details"]) == MAX_DETAILS
    assert error["details_omitted"] >= 5_000 - MAX_DETAILS
    assert len(response.content) < 10_000


@pytest.mark.deadline
@pytest.mark.django_db
@pytest.mark.parametrize("operation", WRITES, ids=" ".join)
@pytest.mark.parametrize("value", ["list", "object"])
def test_no_body_of_many_wrong_items_is_costly(olga: Caller, operation: tuple[str, str], value: str) -> None:
    (method, path), world = operation, build_world()
    fields = filled(TABLE[operation][1], world)
    count = LIMIT // max(1, len(fields)) // 12
    items: Any = ["a"] * count if value == "list" else {f"n{number:x}": 0 for number in range(count)}
    body = json.dumps(dict.fromkeys(fields, items)).encode()
    assert len(body) <= LIMIT
    begun_at = time.process_time()
    response = olga.send(method.upper(), path.format(**world), body, {})
    # 0.25 s at most on a quiet machine. The list of a webhook's events took 2 s: each wrong item was told.
    assert time.process_time() - begun_at < 1
    assert (response.status_code, len(response.content) < 10_000) == (400, True)


@pytest.mark.django_db
def test_twenty_details_omit_nothing(alice: Caller, acme: Tenant) -> None:
    error = alice.post("/v1/tenants/acme/plans", {f"field-{number}": None for number in range(MAX_DETAILS)}).json()
    assert "details_omitted" not in error["error"]


def test_a_long_accept_language_is_cut_before_it_is_kept() -> None:
    middleware._cached_language_of.cache_clear()
    longest = "fr," + "x" * 350_000
    assert language_of(longest) == "fr"
    assert language_of(",".join(["fr"] + ["de;q=0.5"] * 1_000)) == "fr"
    kept: Any = middleware._cached_language_of.cache_info()
    assert kept.currsize == 2
    assert len(longest) > MAX_ACCEPT_LANGUAGE_CHARS


@pytest.mark.django_db
@pytest.mark.parametrize(
    "position", [["0001-01-01T00:00:00+23:59", "x"], ["9999-12-31T23:59:59-23:59", "x"], ["2026-01-09T10:00:00", "x"]]
)
def test_a_crafted_cursor_is_refused(alice: Caller, acme: Tenant, position: list[str]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
    response = alice.get(f"/v1/tenants/acme/apis?cursor={cursor}")
    assert (response.status_code, response.json()["error"]["details"][0]["field"]) == (400, "cursor")
