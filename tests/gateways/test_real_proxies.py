"""Gateways run for real, with the configuration that we write for them: who gets through, and who does not."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.utils import timezone

from apikeys.gateway.exporters.site import describe_site
from apikeys.services.keys import NewKey, issue_key
from apikeys.services.revocations import revoke_key
from catalog.models import Api
from metrics.models import TrafficDelta
from stoa_cp.devserver.cluster import free_port
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tests.factories import ApiFactory
from tests.gateways.conftest import Deployment
from tests.gateways.proxies import FILES, Proxy, listen, proxy

PAYMENTS = "/acme/payments"
# They go where the answer says, and write the log that we read; the others know their routes from the file.
follow_the_answer = pytest.mark.parametrize("edge", ["nginx", "caddy"], indirect=True)
follow_the_file = pytest.mark.parametrize("edge", ["envoy", "haproxy", "traefik"], indirect=True)
# Traefik passes nothing of a permission on to the caller.
tell_the_caller = pytest.mark.parametrize("edge", ["nginx", "caddy", "envoy", "haproxy"], indirect=True)


def test_a_subscribed_key_gets_through(edge: Proxy, deployment: Deployment) -> None:
    answer = edge.call(f"{PAYMENTS}/42?a=1&b=%2F", deployment.credential)

    assert answer.status == 200
    ((method, target, headers),) = deployment.paying.calls
    assert (method, target) == ("GET", "/base/42?a=1&b=%2F")
    assert headers["host"] == deployment.paying.url.removeprefix("http://")
    assert headers["x-stoa-api"] == deployment.payments.id
    assert headers["x-stoa-tenant"] == deployment.payments.tenant_id
    assert headers["x-stoa-subscription"] == deployment.mobile.id
    assert headers["x-stoa-key"] == deployment.key.id
    assert headers["x-stoa-application"] == "mobile %C3%A9"
    assert headers["x-stoa-mode"] == "live"
    assert headers["x-stoa-decision"].startswith("dec-")
    assert headers["x-forwarded-for"]


@tell_the_caller
def test_a_caller_learns_its_limits(edge: Proxy, deployment: Deployment) -> None:
    answer = edge.call(PAYMENTS, deployment.credential)
    assert answer.headers["x-ratelimit-limit"] == "1000"
    assert answer.headers["x-ratelimit-remaining"] == "999"
    # An API without an end says nothing of one, nor gives the name of a placeholder.
    assert {"deprecation", "sunset"}.isdisjoint(answer.headers)


def test_a_bearer_key_gets_through_and_no_key_reaches_the_upstream(edge: Proxy, deployment: Deployment) -> None:
    bearer = f"Authorization: Bearer {deployment.secret}"
    for credentials in ([bearer], [deployment.credential], [bearer, deployment.credential]):
        assert edge.call(PAYMENTS, *credentials).status == 200
    assert [target for _method, target, _headers in deployment.paying.calls] == ["/base"] * 3
    assert deployment.secret not in str(deployment.paying.calls)


def test_another_credential_is_the_upstreams_own_business(edge: Proxy, deployment: Deployment) -> None:
    edge.call("/acme/open/", "X-API-Key: mine", "Authorization: Basic bWluZQ==")
    ((_method, target, headers),) = deployment.others.calls
    assert target == "/"
    assert headers["x-api-key"] == "mine"
    assert headers["authorization"] == "Basic bWluZQ=="


def test_a_body_arrives(edge: Proxy, deployment: Deployment) -> None:
    body = b"x" * 2_000_000
    answer = edge.call(PAYMENTS, deployment.credential, method="POST", body=body)
    assert answer.status == 200
    assert deployment.paying.calls[0][0] == "POST"
    assert len(answer.content) > len(body)


REFUSALS = [
    (PAYMENTS, "", 401, "key_missing"),
    (PAYMENTS, "stoa_live_" + "0" * 46, 401, "key_malformed"),
    (PAYMENTS, "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8", 401, "key_unknown"),
    ("/acme/admin", None, 403, "api_not_subscribed"),
    ("/acme/nothing", None, 404, "route_unknown"),
    ("/nobody/payments", None, 404, "route_unknown"),
    ("/", None, 404, "route_unknown"),
    ("/v1/tenants", None, 404, "route_unknown"),
]
CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found"}


def test_a_refusal_says_why(edge: Proxy, deployment: Deployment) -> None:
    for target, credential, status, reason in REFUSALS:
        key = deployment.secret if credential is None else credential
        answer = edge.call(target, *([f"X-API-Key: {key}"] if key else []))
        assert (answer.status, answer.headers["x-stoa-reason"]) == (status, reason), target
        assert answer.headers["content-type"] == "application/json"
        assert (answer.error["code"], answer.error["reason"]) == (CODES[status], reason)
        assert answer.error["message"].endswith(".")
        assert answer.error["details"][0]["code"] == reason
        assert answer.error["request_id"]
        assert answer.headers.get("www-authenticate", "") == ('Bearer realm="stoa"' if status == 401 else "")
    assert deployment.calls == 0


def test_too_many_calls_are_told_when_to_come_back(edge: Proxy, deployment: Deployment) -> None:
    Subscription.objects.filter(pk=deployment.mobile.pk).update(rate_limit=2)
    statuses = [edge.call(PAYMENTS, deployment.credential).status for _call in range(3)]
    refused = edge.call(PAYMENTS, deployment.credential)
    assert statuses == [200, 200, 429]
    assert len(deployment.paying.calls) == 2
    assert refused.error["code"] == "rate_limited"
    assert refused.error["reason"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["x-ratelimit-remaining"] == "0"


def test_a_revoked_key_is_refused_on_the_very_next_call(edge: Proxy, deployment: Deployment) -> None:
    assert edge.call(PAYMENTS, deployment.credential).status == 200
    revoke_key(deployment.key, by=SYSTEM)
    answer = edge.call(PAYMENTS, deployment.credential)
    assert (answer.status, answer.error["reason"]) == (401, "key_revoked")
    assert len(deployment.paying.calls) == 1


@follow_the_answer
def test_an_api_that_moves_needs_no_new_configuration(edge: Proxy, deployment: Deployment) -> None:
    Api.objects.filter(pk=deployment.payments.pk).update(upstream_url=f"{deployment.others.url}/moved")
    assert edge.call(f"{PAYMENTS}/1", deployment.credential).status == 200
    assert deployment.others.calls[0][1] == "/moved/1"


@follow_the_file
def test_an_api_that_is_newer_than_the_file_is_unavailable(edge: Proxy, deployment: Deployment) -> None:
    ApiFactory(tenant=deployment.payments.tenant, path="/new", upstream_url=deployment.others.url, auth_required=False)
    assert edge.call("/acme/new").status == 503
    assert edge.call("/acme/newer").status == 404
    assert deployment.calls == 0


@tell_the_caller
def test_a_deprecated_api_says_so(edge: Proxy, deployment: Deployment) -> None:
    Api.objects.filter(pk=deployment.payments.pk).update(
        status="deprecated", deprecated_at=timezone.now(), sunset_at=timezone.now()
    )
    answer = edge.call(PAYMENTS, deployment.credential)
    assert answer.headers["deprecation"].startswith("@")
    assert answer.headers["sunset"].endswith("GMT")


SPOOFED = (
    "X-Stoa-Tenant: evil",
    "X-Stoa-Api: evil",
    "X-Stoa-Subscription: evil",
    "X-Stoa-Application: evil",
    "X-Stoa-Key: evil",
    "X-Stoa-Plan: evil",
    "X-Stoa-Decision: evil",
    "X-Stoa-Upstream: http://127.0.0.1:9/evil",
    "X-Stoa-Upstream-Scheme: http",
    "X-Stoa-Upstream-Host: 127.0.0.1:9",
    "X-Stoa-Path: /evil",
    "X-Stoa-Reason: evil",
    "X-Stoa-Status: 200",
    "X-Stoa-Gateway-Token: evil",
    "x_stoa_tenant: evil",
    "X-Stoa_Key: evil",
    "X_STOA-PLAN: evil",
)


@pytest.mark.parametrize("target", [PAYMENTS, "/acme/open"])
def test_what_a_client_claims_never_reaches_the_upstream(edge: Proxy, deployment: Deployment, target: str) -> None:
    credential = [deployment.credential] if target == PAYMENTS else []
    assert edge.call(target, *SPOOFED, *credential).status == 200
    (((_method, _target, headers)),) = deployment.paying.calls + deployment.others.calls
    ours = {name: value for name, value in headers.items() if "stoa" in name}
    assert "evil" not in str(ours)
    assert "x-stoa-gateway-token" not in headers
    assert "x-stoa-upstream-host" not in headers
    if target == PAYMENTS:
        assert headers["x-stoa-tenant"] == deployment.payments.tenant_id


CLAIMS = (
    "X-Forwarded-Uri: /acme/open",
    "X-Original-URI: /acme/open",
    "X-Original-URL: http://gateway.example.com/acme/open",
    "X-Forwarded-Prefix: /acme/open",
    "X-HTTP-Method-Override: OPTIONS",
)


def test_a_client_cannot_ask_about_another_path(edge: Proxy, deployment: Deployment) -> None:
    for claim in CLAIMS:
        assert edge.call(PAYMENTS, claim).status == 401, claim
        assert edge.call("/acme/admin", claim, deployment.credential).status == 403, claim
    assert deployment.calls == 0


@follow_the_file
def test_a_test_key_is_refused_where_it_would_reach_the_live_upstream(edge: Proxy, deployment: Deployment) -> None:
    Api.objects.update(sandbox_url=f"{deployment.others.url}/sandbox")
    test_secret = issue_key(deployment.mobile, NewKey(name="test", mode="test"), by=SYSTEM).secret
    answer = edge.call(PAYMENTS, f"X-API-Key: {test_secret}")
    assert (answer.status, answer.error["reason"]) == (403, "test_mode_unavailable")
    assert deployment.calls == 0


def test_two_keys_are_no_key(edge: Proxy, deployment: Deployment) -> None:
    other = issue_key(deployment.mobile, NewKey(name="other"), by=SYSTEM).secret
    answer = edge.call(PAYMENTS, deployment.credential, f"Authorization: Bearer {other}")
    assert (answer.status, answer.error["reason"]) == (401, "key_malformed")
    assert deployment.calls == 0


STRANGE = (
    ["X-API-Key: \xff\xfe\x80"],
    ["X-API-Key: " + "k" * 6_000],
    ["X-API-Key:"],
    [f"X-Filler-{number}: {number}" for number in range(120)],
    ["Cookie: " + "c" * 40_000],
    ["Authorization: Bearer"],
    ["Authorization: Bearer a, Bearer b"],
)


def test_a_strange_header_is_a_clear_refusal(edge: Proxy, deployment: Deployment) -> None:
    for headers in STRANGE:
        assert edge.call(PAYMENTS, *headers).status in (400, 401, 413, 414, 431), headers[0][:20]
    assert deployment.calls == 0


@pytest.mark.parametrize("program", FILES)
def test_without_the_control_plane_nobody_gets_through(
    program: str, deployment: Deployment, edge_token: str, tmp_path: Path, settings: Any
) -> None:
    settings.STOA_URL = f"http://127.0.0.1:{free_port(0)}"
    site = describe_site(token=edge_token, listen=listen(), is_standalone=True)
    with proxy(program, site, tmp_path) as lonely:
        for target in (PAYMENTS, "/acme/open", "/"):
            answer = lonely.call(target, deployment.credential)
            assert answer.status == {"caddy": 502, "traefik": 500}.get(program, 503)
            if program != "traefik":  # which says nothing
                assert answer.error["code"] == "internal_error"
                assert answer.headers["retry-after"] == "2"
    assert deployment.calls == 0


@pytest.mark.parametrize("program", FILES)
def test_a_gateway_whose_token_was_taken_away_lets_nobody_through(
    program: str, deployment: Deployment, live_server: Any, tmp_path: Path, settings: Any
) -> None:
    settings.STOA_URL = live_server.url.replace("localhost", "127.0.0.1")
    site = describe_site(token="stoa_gtw_none", listen=listen(), is_standalone=True)
    with proxy(program, site, tmp_path) as untrusted:
        answer = untrusted.call(PAYMENTS, deployment.credential)
    # These two cannot tell whose credential was refused.
    assert answer.status == (401 if program in ("envoy", "traefik") else 503)
    assert answer.error["code"] == ("internal_error" if answer.status == 503 else "unauthorized")
    assert deployment.calls == 0


@follow_the_answer
def test_the_log_says_what_counts(edge: Proxy, deployment: Deployment, edge_token: str, live_server: Any) -> None:
    Api.objects.update(sandbox_url=f"{deployment.others.url}/sandbox")
    test_secret = issue_key(deployment.mobile, NewKey(name="test", mode="test"), by=SYSTEM).secret
    for _call in range(3):
        edge.call(f"{PAYMENTS}/1?secret=1", deployment.credential)
    edge.call(PAYMENTS, deployment.credential, "Authorization: bearer\tstoa_test_x")  # says what it is not
    edge.call(PAYMENTS, f"X-API-Key: {test_secret}")
    edge.call(PAYMENTS, f"Authorization: bearer {test_secret}")
    edge.call(PAYMENTS)
    edge.call("/acme/nothing", deployment.credential)
    edge.call("/acme/open")
    edge.call("/acme/open", "X-API-Key: STOA_TEST_x")

    out = StringIO()
    options = {"gateway": "edge-1", "token": edge_token, "url": live_server.url, "once": True, "stderr": out}
    call_command("ship_access_log", edge.log, stdout=out, **options)

    assert out.getvalue() == "accepted 8\n"
    counts = TrafficDelta.objects.values_list("mode").annotate(Sum("requests")).order_by("mode")
    assert list(counts) == [("live", 6), ("test", 2)]
    assert len(deployment.paying.calls) == 4
    sandbox = [target for _method, target, _headers in deployment.others.calls if target.startswith("/sandbox")]
    assert len(sandbox) == 2
    text = edge.log.read_text()
    assert deployment.secret not in text
    assert test_secret not in text
    assert edge_token not in text
