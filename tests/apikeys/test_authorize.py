"""ANY /v1/gateway/authorize: what proxies ask before they let a call through."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apikeys.models import ApiKey
from catalog.authentication import HEADER
from catalog.models import Api, Gateway
from catalog.services.gateways import delete_gateway
from stoa_cp.devserver.grants import Grants
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.apikeys.conftest import Edge
from tests.catalog.hostile_paths import HOSTILE_PATHS
from tests.conftest import Caller
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db

URL = "/v1/gateway/authorize"
IDENTITY = ("Tenant", "Api", "Subscription", "Application", "Key", "Plan")
UPSTREAM = ("Upstream", "Upstream-Scheme", "Upstream-Host", "Path")


def told(response: object, *names: str) -> tuple[str, ...]:
    return tuple(response.headers[f"X-Stoa-{name}"] for name in names)  # type: ignore[attr-defined]


@pytest.fixture
def status(acme: Tenant) -> Api:
    """An API that anybody may call."""
    return ApiFactory(tenant=acme, name="status", path="/status", auth_required=False)


def test_a_call_that_may_pass_is_200_with_an_empty_body_and_all_headers(
    edge: Edge, mobile: Subscription, secret: str
) -> None:
    response = edge.authorize("/acme/payments/42/?x=1", secret)

    assert (response.status_code, response.content) == (200, b"")
    assert response["Cache-Control"] == "no-store"
    key = ApiKey.objects.get()
    assert told(response, *IDENTITY) == (
        mobile.tenant_id, mobile.api_id, mobile.id, "mobile", key.id, mobile.plan.slug,
    )  # fmt: skip
    assert told(response, *UPSTREAM) == (
        "https://pay.example.com:8443/base/", "https", "pay.example.com:8443", "/base/42/",
    )  # fmt: skip
    assert (response["X-RateLimit-Limit"], response["X-RateLimit-Remaining"]) == ("1000", "999")
    assert response["X-RateLimit-Reset"].isdecimal()
    assert response["X-Stoa-Decision"].startswith("dec-")
    assert "Deprecation" not in response.headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PURGE"])
def test_any_method_with_any_body_is_answered_alike(edge: Edge, secret: str, method: str) -> None:
    sent = {"X-Forwarded-Uri": "/acme/payments", "X-API-Key": secret}
    assert edge.ask(URL, sent, method, b"\x00\xff" * 200_000).status_code == 200


def test_the_key_may_come_as_a_bearer_token(edge: Edge, secret: str) -> None:
    assert edge.authorize("/acme/payments", Authorization=f"Bearer {secret}").status_code == 200
    assert edge.authorize("/acme/payments", Authorization=f"bearer {secret}", X_API_Key=secret).status_code == 200


def test_every_denial_has_its_status_its_reason_and_a_sentence(edge: Edge, secret: str) -> None:
    response = edge.authorize("/acme/payments")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="stoa"'
    error = response.json()["error"]
    assert (error["code"], error["reason"]) == ("unauthorized", "key_missing")
    assert error["message"] == "Send your API key in the header X-API-Key."
    assert edge.authorize("/acme/nothing", secret).json()["error"]["code"] == "not_found"


DOUBLED = [
    {"X-API-Key": "{key},{key}"},
    {"X-API-Key": "{key}, {key}"},
    {"X-API-Key": "{key}", "Authorization": "Bearer {other}"},
    {"Authorization": "Bearer {key},Bearer {key}"},
    {"Authorization": "Bearer {key} {key}"},
    {"X-API-Key": "{key}\x00"},
    {"X-API-Key": "stoa_live_" + "x" * 60_000},
    {"X-API-Key": "ÿ\x80"},
]


@pytest.mark.parametrize("headers", DOUBLED, ids=range(len(DOUBLED)))
def test_two_keys_are_none(edge: Edge, secret: str, headers: dict[str, str]) -> None:
    other = "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"
    sent = {name: value.replace("{key}", secret).replace("{other}", other) for name, value in headers.items()}

    response = edge.ask(URL, {"X-Forwarded-Uri": "/acme/payments"} | sent)

    assert (response.status_code, response["X-Stoa-Reason"]) == (401, "key_malformed")


@pytest.mark.parametrize("uri", HOSTILE_PATHS, ids=repr)
def test_a_hostile_path_is_refused_in_every_profile(edge: Edge, acme: Tenant, secret: str, uri: str) -> None:
    ApiFactory(tenant=acme, name="root", path="/", auth_required=False)
    ApiFactory(tenant=acme, name="admin", path="/admin", auth_required=False)
    for path, name, value in (
        (URL, "X-Forwarded-Uri", uri),
        (f"{URL}/nginx", "X-Original-URI", uri),
        (f"{URL}/ingress", "X-Original-URL", f"https://gateway{uri}" if uri.startswith("/") else uri),
    ):
        if uri == "http://gateway/acme/payments" and path.endswith("ingress"):
            continue  # that is what ingress sends
        response = edge.ask(path, {name: value, "X-API-Key": secret})
        assert response.status_code == (404 if path == URL else 403), path
        assert response["X-Stoa-Reason"] == "route_unknown"


def test_a_question_without_a_path_is_an_unknown_route(edge: Edge, secret: str) -> None:
    assert edge.ask(URL, {"X-API-Key": secret})["X-Stoa-Reason"] == "route_unknown"


@pytest.mark.parametrize("profile", ["", "/nginx", "/ingress", "/envoy/acme/nothing"])
def test_a_profile_believes_its_own_headers_only(edge: Edge, secret: str, profile: str) -> None:
    sent = {
        "X-Forwarded-Uri": "/acme/payments",
        "X-Original-URI": "/acme/payments",
        "X-Original-URL": "https://gateway/acme/payments",
        "X-Envoy-Original-Path": "/acme/payments",
        "X-Rewrite-Url": "/acme/payments",
        "X-API-Key": secret,
    }
    own = {"": "X-Forwarded-Uri", "/nginx": "X-Original-URI", "/ingress": "X-Original-URL"}.get(profile, "")
    sent.pop(own, None)
    assert edge.ask(URL + profile, sent)["X-Stoa-Reason"] == "route_unknown"


def test_nginx_is_told_401_and_403_only(edge: Edge, mobile: Subscription, secret: str) -> None:
    def ask(uri: str, key: str) -> tuple[int, str, str, bool]:
        response = edge.ask(f"{URL}/nginx?status=200", {"X-Original-URI": uri, "X-API-Key": key})
        headers = response.headers
        return response.status_code, headers["X-Stoa-Status"], headers["X-Stoa-Reason"], "Retry-After" in headers

    Subscription.objects.update(rate_limit=0)
    assert ask("/acme/payments", "stoa_x") == (401, "401", "key_malformed", False)
    assert ask("/acme/nothing", secret) == (403, "404", "route_unknown", False)
    assert ask("/acme/payments", secret) == (403, "429", "rate_limited", True)


def test_envoy_appends_the_path_to_ours(edge: Edge, secret: str) -> None:
    def ask(path: str) -> tuple[int, str]:
        response = edge.ask(f"{URL}/envoy{path}", {"X-API-Key": secret}, "POST")
        return response.status_code, response.headers.get("X-Stoa-Path", "")

    assert ask("/acme/payments/a%20b/%C3%A9?q=1") == (200, "/base/a%20b/%C3%A9")
    assert ask("/acme/payments/../admin")[0] == 404
    assert ask("/acme/payments/%252e%252e/admin")[0] == 404
    assert ask("/acme/payments/a%0Ab")[0] == 404
    assert ask("/acme//payments")[0] == 404
    assert ask("/")[0] == 404
    assert ask("")[0] == 404
    assert ask("x/acme/payments")[0] == 404


def test_an_open_api_needs_no_key(edge: Edge, status: Api) -> None:
    response = edge.authorize("/acme/status/live")

    assert response.status_code == 200
    assert told(response, *IDENTITY) == (status.tenant_id, status.id, "", "", "", "")
    assert told(response, *UPSTREAM) == (
        "https://upstream.example.com", "https", "upstream.example.com:443", "/live",
    )  # fmt: skip
    assert response["X-RateLimit-Limit"] == ""


def test_an_open_api_may_have_keys_of_its_own(edge: Edge, status: Api, mobile: Subscription, secret: str) -> None:
    assert edge.authorize("/acme/status", "its-own-key").status_code == 200
    assert edge.authorize("/acme/status", Authorization="Bearer eyJhbGciOi").status_code == 200
    assert edge.authorize("/acme/payments", "its-own-key")["X-Stoa-Reason"] == "key_malformed"
    # Who shows one of ours is judged by it.
    assert edge.authorize("/acme/status", secret)["X-Stoa-Reason"] == "api_not_subscribed"


def test_an_open_api_is_closed_with_its_tenant(edge: Edge, status: Api) -> None:
    Tenant.objects.update(status="suspended")
    assert edge.authorize("/acme/status")["X-Stoa-Reason"] == "tenant_suspended"


def test_the_names_of_headers_take_whatever_an_application_is_called(
    edge: Edge, mobile: Subscription, secret: str
) -> None:
    Subscription.objects.update(application="Café 100%\r\nX-Stoa-Plan: gold")
    assert edge.authorize("/acme/payments", secret)["X-Stoa-Application"] == ("Caf%C3%A9 100%25%0D%0AX-Stoa-Plan: gold")


def test_a_deprecated_api_answers_with_a_warning(edge: Edge, payments: Api, secret: str) -> None:
    Api.objects.update(
        status="deprecated", deprecated_at=datetime(2026, 1, 9, tzinfo=UTC), sunset_at=datetime(2026, 7, 1, tzinfo=UTC)
    )
    response = edge.authorize("/acme/payments", secret)
    assert response.status_code == 200
    assert response["Deprecation"] == "@1767916800"
    assert response["Sunset"] == "Wed, 01 Jul 2026 00:00:00 GMT"


@pytest.mark.parametrize(("base", "expected"), [("", "/"), ("/", "/"), ("/v1", "/v1"), ("/v1/", "/v1")])
def test_the_path_of_an_apis_root_is_its_base(edge: Edge, payments: Api, secret: str, base: str, expected: str) -> None:
    Api.objects.update(upstream_url=f"http://[fd00::1]{base}")
    response = edge.authorize("/acme/payments", secret)
    assert told(response, "Path", "Upstream-Host") == (expected, "[fd00::1]:80")


def test_of_another_tenants_key_nothing_is_told(edge: Edge, globex: Tenant, secret: str) -> None:
    ApiFactory(tenant=globex, path="/orders")
    response = edge.authorize("/globex/orders", secret)
    assert (response.status_code, response["X-Stoa-Reason"]) == (403, "api_not_subscribed")


def test_it_takes_two_statements_one_for_the_gateway(edge: Edge, secret: str) -> None:
    edge.authorize("/acme/payments", secret)
    with CaptureQueriesContext(connection) as captured:
        edge.authorize("/acme/payments", secret)
    assert len(captured) == 2


def test_only_a_gateway_is_answered(edge: Edge, alice: Caller, anonymous: Caller, secret: str) -> None:
    asked = {"X-Forwarded-Uri": "/acme/payments", "X-API-Key": secret}
    assert anonymous.get(URL, **asked).status_code == 401
    assert alice.get(URL, **asked).status_code == 403
    unauthenticated = Client().get(URL, headers=asked | {HEADER: "stoa_gtw_none"})
    assert (unauthenticated.status_code, "X-Stoa-Reason" in unauthenticated.headers) == (401, False)
    delete_gateway(Gateway.objects.get(), by=SYSTEM)
    assert edge.ask(URL, asked).status_code == 401


def test_a_service_account_with_the_role_is_a_gateway(
    realm: Grants, mobile: Subscription, secret: str, olga: Caller
) -> None:
    assert olga.get(URL, **{"X-Forwarded-Uri": "/acme/payments", "X-API-Key": secret}).status_code == 200
