"""One envelope, seven codes, for every error on every path."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from stoa_cp.observability import health
from tenants import queries
from tenants.models import Tenant
from tests.conftest import Caller
from tests.contract.hostile import HOSTILE_BODIES, HOSTILE_PATHS, HOSTILE_QUERIES

pytestmark = pytest.mark.django_db

TENANT = {"name": "acme", "tier": "starter", "admin_email": "admin@acme.com", "region": "us-east-1"}


def assert_envelope(response: Any, status: int, code: str, detail: str | None = None) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["code"] == code
    assert error["request_id"] == response["X-Request-Id"]
    if detail is not None:
        assert detail in [line["code"] for line in error["details"]]
    return error


def test_an_unknown_route(olga: Caller, anonymous: Caller) -> None:
    assert_envelope(anonymous.get("/nowhere"), 404, "not_found")
    assert_envelope(olga.get("/v1/nowhere"), 404, "not_found")
    assert_envelope(olga.get("/v1/tenants/"), 404, "not_found")


def test_an_unknown_route_is_no_news_for_strangers(anonymous: Caller) -> None:
    assert_envelope(anonymous.get("/v1/nowhere"), 401, "unauthorized", "token_missing")


def test_no_token(anonymous: Caller) -> None:
    response = anonymous.get("/v1/tenants")

    assert_envelope(response, 401, "unauthorized", "token_missing")
    assert response["WWW-Authenticate"] == 'Bearer realm="stoa"'


def test_a_bad_token() -> None:
    response = Caller("x.y.z").get("/v1/tenants")

    assert_envelope(response, 401, "unauthorized", "token_invalid")
    assert response["WWW-Authenticate"] == 'Bearer realm="stoa", error="invalid_token"'


def test_a_role_that_is_missing(victor: Caller, acme: Tenant) -> None:
    assert_envelope(victor.patch("/v1/tenants/acme", {"region": "eu-west-1"}), 403, "forbidden", "missing_role")


def test_what_is_anothers_is_not_there(bob: Caller, acme: Tenant) -> None:
    theirs = bob.get(f"/v1/tenants/{acme.id}").json()["error"]
    unknown = bob.get("/v1/tenants/ten-0000000000000000").json()["error"]

    assert theirs | {"request_id": ""} == unknown | {"request_id": ""}


def test_a_method_that_the_route_has_not(olga: Caller, acme: Tenant) -> None:
    for tenant in ("acme", "unknown-tenant"):
        response = olga.send("PUT", f"/v1/tenants/{tenant}", TENANT, {})
        assert_envelope(response, 405, "validation_error", "method_not_allowed")
        assert set(response["Allow"].split(", ")) == {"GET", "HEAD", "PATCH", "DELETE"}
    assert olga.send("OPTIONS", "/v1/tenants", None, {}).status_code == 405


def test_media_types(olga: Caller) -> None:
    assert_envelope(olga.get("/v1/tenants", Accept="text/html"), 406, "validation_error", "not_acceptable")
    form = olga.post("/v1/tenants", b"name=acme", Content_Type="application/x-www-form-urlencoded")
    assert_envelope(form, 415, "validation_error", "unsupported_media_type")


def test_a_body_that_is_too_large(olga: Caller) -> None:
    response = olga.post("/v1/tenants", b" " * 300_000)

    assert_envelope(response, 413, "validation_error", "too_large")
    assert "X-RateLimit-Remaining" in response


def test_a_foreign_host() -> None:
    response = Client(raise_request_exception=False).get("/", headers={"Host": "evil.example"})

    assert_envelope(response, 400, "validation_error")


def test_a_crash_says_nothing(olga: Caller, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "is_id", lambda *_arguments: 1 / 0)

    error = assert_envelope(olga.get("/v1/tenants/acme"), 500, "internal_error")
    assert error["message"] == "Server error"
    assert error["details"] == []


def test_a_database_that_is_away(olga: Caller, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(queries, "is_id", fail)

    response = olga.get("/v1/tenants/acme")
    assert_envelope(response, 503, "internal_error", "unavailable")
    assert response["Retry-After"] == "2"
    assert b"unexpectedly" not in response.content


def test_every_answer_has_the_headers(olga: Caller, anonymous: Caller) -> None:
    for response in (olga.get("/v1/tenants"), olga.get("/v1/nowhere"), anonymous.get("/v1/tenants")):
        assert int(response["X-RateLimit-Limit"]) > int(response["X-RateLimit-Remaining"]) > 0
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cache-Control"] == "no-store"
        assert response["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("language", "message"),
    [("fr", "Ressource introuvable"), ("fr-CA, en;q=0.5", "Ressource introuvable"), ("de", "Resource not found")],
)
def test_the_language_that_the_client_prefers(olga: Caller, language: str, message: str) -> None:
    response = olga.get("/v1/tenants/ten-0000000000000000", Accept_Language=language)

    assert response.json()["error"]["message"] == message
    assert response["Content-Language"] == ("fr" if language.startswith("fr") else "en")


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_a_hostile_body_is_a_400(olga: Caller, name: str) -> None:
    error = assert_envelope(olga.post("/v1/tenants", HOSTILE_BODIES[name]), 400, "validation_error")

    assert error["details"]
    assert not Tenant.objects.exists()


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_hostile_path_is_a_404(olga: Caller, acme: Tenant, path: str) -> None:
    assert_envelope(olga.get(path), 404, "not_found")


@pytest.mark.parametrize("query", HOSTILE_QUERIES)
def test_a_hostile_query_is_no_crash(olga: Caller, acme: Tenant, query: str) -> None:
    assert olga.get(f"/v1/tenants?{query}").status_code in (200, 400)


def test_readyz_names_what_is_away(anonymous: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise OperationalError("gone")

    monkeypatch.setitem(health.CHECKS, "database", fail)
    monkeypatch.setattr(health, "readiness", health.Readiness())  # as in a new process
    response = anonymous.get("/readyz")

    assert response.status_code == 503
    assert response.json()["components"]["database"] == "unavailable"
    assert anonymous.get("/healthz").json() == {"status": "ok"}
