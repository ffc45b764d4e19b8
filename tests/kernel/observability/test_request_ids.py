"""One request id through a proxy's log, ours, the answer and the event; a client's own is not taken."""

import pytest
from django.test import Client
from pytest_django import Settings

from catalog.authentication import HEADER
from stoa_cp.eventlog.models import Event
from stoa_cp.observability.request_ids import given_request_id
from tenants.models import Tenant
from tests.conftest import Caller

PROXY, STRANGER = "10.0.0.7", "192.0.2.9"


@pytest.fixture(autouse=True)
def _proxies(settings: Settings) -> None:
    settings.STOA_TRUSTED_PROXIES = ["10.0.0.0/8"]


@pytest.mark.parametrize("given", ["a" * 8, "a" * 128, "5b0e7c1c-98f5-4c4c-8b6c-6c2e4a3f0d11", "A.b_c-d9"])
def test_a_trusted_proxy_gives_the_id(given: str) -> None:
    assert given_request_id({"HTTP_X_REQUEST_ID": given, "REMOTE_ADDR": PROXY}) == given


@pytest.mark.parametrize(
    "given", ["", "a" * 7, "a" * 129, "with blank", "line\nbreak", "quote\"'12", "é" * 8, "１" * 8]
)
def test_anything_else_is_no_id(given: str) -> None:
    assert given_request_id({"HTTP_X_REQUEST_ID": given, "REMOTE_ADDR": PROXY}) is None


@pytest.mark.parametrize("peer", [STRANGER, "", None])
def test_a_client_gives_none(peer: str | None) -> None:
    assert given_request_id({"HTTP_X_REQUEST_ID": "a" * 32, "REMOTE_ADDR": peer}) is None


@pytest.mark.django_db
def test_it_is_in_the_answer_and_in_the_event(alice: Caller, acme: Tenant) -> None:
    alice.move_to(PROXY)
    body = {"name": "payments", "path": "/payments", "upstream_url": "https://198.51.100.7"}
    given = "r" * 128
    created = alice.post("/v1/tenants/acme/apis", body, X_Request_Id=given, X_Forwarded_For=STRANGER)

    assert created.status_code == 201
    assert created["X-Request-Id"] == given
    assert Event.objects.get(type="api.created").request_id == given


@pytest.mark.django_db
def test_a_strangers_is_replaced_everywhere(anonymous: Caller) -> None:
    anonymous.move_to(STRANGER)
    for path in ("/v1/me", "/healthz", "/nowhere"):
        assert anonymous.get(path, X_Request_Id="r" * 32)["X-Request-Id"] != "r" * 32
    refused = Client().post("/v1/gateway/keys/verify", headers={HEADER: "x", "X-Request-Id": "r" * 32})
    assert refused["X-Request-Id"] != "r" * 32
