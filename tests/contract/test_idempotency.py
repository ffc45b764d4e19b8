"""The Idempotency-Key on POST and PATCH."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F

from catalog.models import Api
from stoa_cp.observability import headers
from stoa_cp.rest.idempotency import IdempotentRequest, delete_expired_records
from stoa_cp.rest.models import IdempotencyRecord
from tenants.models import Tenant
from tests.conftest import Caller
from tests.factories import SubscriptionFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

APIS = "/v1/tenants/acme/apis"
BODY = {"name": "payments", "path": "/payments", "upstream_url": "https://up.example.com"}


def test_a_retry_gets_the_first_answer_byte_for_byte(alice: Caller, acme: Tenant) -> None:
    first = alice.post(APIS, BODY, Idempotency_Key="k-1")
    second = alice.post(APIS, BODY, Idempotency_Key='"k-1"')

    assert (second.status_code, second.content) == (201, first.content)
    assert second["Idempotency-Replayed"] == "true"
    assert (second["Location"], second["ETag"]) == (first["Location"], first["ETag"])
    assert "Idempotency-Replayed" not in first
    assert Api.objects.count() == 1


def test_a_secret_is_replayed_but_not_readable_in_the_database(alice: Caller, acme: Tenant) -> None:
    subscription = SubscriptionFactory(tenant=acme)
    path = f"/v1/tenants/acme/subscriptions/{subscription.id}/approve"

    secret = alice.post(path, {}, Idempotency_Key="k-2").json()["api_key"]

    assert alice.post(path, {}, Idempotency_Key="k-2").json()["api_key"] == secret
    assert secret.encode() not in bytes(IdempotencyRecord.objects.get().content)


def test_another_body_is_refused(alice: Caller, acme: Tenant) -> None:
    alice.post(APIS, BODY, Idempotency_Key="k-3")

    response = alice.post(APIS, BODY | {"name": "other"}, Idempotency_Key="k-3")

    assert response.status_code == 422
    error = response.json()["error"]
    assert (error["code"], error["details"][0]["code"]) == ("conflict", "idempotency_key_reused")


def test_a_key_is_ones_own_and_its_paths(alice: Caller, dave: Caller, acme: Tenant) -> None:
    alice.post(APIS, BODY, Idempotency_Key="k-4")

    assert dave.post(APIS, BODY, Idempotency_Key="k-4").status_code == 409
    assert alice.post("/v1/tenants/acme/plans", {"slug": "x", "name": "X"}, Idempotency_Key="k-4").status_code == 201


def test_a_refusal_is_not_kept(alice: Caller, acme: Tenant) -> None:
    assert alice.post(APIS, BODY | {"path": "nowhere"}, Idempotency_Key="k-5").status_code == 400
    assert alice.post(APIS, BODY, Idempotency_Key="k-5").status_code == 201


def test_a_dry_run_is_not_kept(alice: Caller, acme: Tenant) -> None:
    alice.post(f"{APIS}?dry_run=true", BODY, Idempotency_Key="k-6")

    assert "Idempotency-Replayed" not in alice.post(APIS, BODY, Idempotency_Key="k-6")


def test_a_dry_run_shows_what_would_happen_now(alice: Caller, acme: Tenant) -> None:
    alice.post(APIS, BODY, Idempotency_Key="k-6")

    assert alice.post(f"{APIS}?dry_run=true", BODY, Idempotency_Key="k-6").status_code == 409


def test_other_parameters_are_refused(alice: Caller, acme: Tenant) -> None:
    document = {"openapi": "3.1.0", "info": {"title": "Pay", "version": "1"}, "paths": {}}
    imported = f"{APIS}/import?upstream_url=https://up.example.com"
    assert alice.post(f"{imported}&path=/one", document, Idempotency_Key="k-7").status_code == 201

    assert alice.post(f"{imported}&path=/two", document, Idempotency_Key="k-7").status_code == 422


def test_a_replay_comes_before_the_precondition(alice: Caller, acme: Tenant) -> None:
    path = f"{APIS}/{alice.post(APIS, BODY).json()['id']}"
    first = alice.patch(path, {"description": "new"}, Idempotency_Key="k-7", If_Match='W/"1"')

    assert alice.patch(path, {"description": "new"}, Idempotency_Key="k-7", If_Match='W/"1"').content == first.content


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, '""'])
def test_a_key_is_visible_ascii(alice: Caller, acme: Tenant, key: str) -> None:
    response = alice.post(APIS, BODY, Idempotency_Key=key)

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == "Idempotency-Key"


def test_after_a_day_a_key_is_new_again(alice: Caller, acme: Tenant) -> None:
    alice.post(APIS, BODY, Idempotency_Key="k-8")
    IdempotencyRecord.objects.update(created_at=F("created_at") - timedelta(hours=24))

    assert alice.post(APIS, BODY, Idempotency_Key="k-8").status_code == 409
    assert delete_expired_records() == 1
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_crash_after_the_commit_is_no_second_effect(
    alice: Caller, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(headers, "headers_of", lambda _path: 1 / 0)  # the answer is written, and never sent
        assert alice.post(APIS, BODY, Idempotency_Key="k-11").status_code == 500

    retried = alice.post(APIS, BODY, Idempotency_Key="k-11")

    assert (retried.status_code, retried["Idempotency-Replayed"]) == (201, "true")
    assert Api.objects.get().id == retried.json()["id"]


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_one_happens_and_the_others_are_told(alice: Caller, acme: Tenant) -> None:
    answers = at_once(*[lambda: alice.post(APIS, BODY, Idempotency_Key="k-9")] * 20)

    assert Api.objects.count() == 1
    successes = {answer.content for answer in answers if answer.status_code == 201}
    assert len(successes) == 1
    refusals = [answer.content for answer in answers if answer.status_code != 201]
    assert all(b"idempotency_in_progress" in content for content in refusals)


@pytest.mark.django_db(transaction=True)
def test_the_second_is_told_while_the_first_is_running(alice: Caller, acme: Tenant) -> None:
    path = f"/v1/tenants/{acme.id}/apis"
    with transaction.atomic():
        subject = alice.get("/v1/me").json()["subject"]
        scope = f"{subject}\nPOST\n{path}"
        assert IdempotentRequest.read("k-10", scope, b"").claim() is None
        with ThreadPoolExecutor(1) as pool:
            response = pool.submit(_post_and_close, alice, path).result()

    assert response.status_code == 409
    assert response.json()["error"]["details"][0]["code"] == "idempotency_in_progress"


def _post_and_close(alice: Caller, path: str) -> object:
    try:
        return alice.post(path, BODY, Idempotency_Key="k-10")
    finally:
        connection.close()
