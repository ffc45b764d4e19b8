"""Where a key may be used: from which addresses, by which methods, at which paths."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide, parameters_of
from apikeys.decisions.statement import run
from apikeys.models import ApiKey, Meter
from catalog.models import Api
from catalog.paths import normalise_path
from catalog.routing import read_target
from stoa_cp.caching.barrier import wait_for_invalidation
from stoa_cp.net.cidrs import normalise_cidr
from tenants.models import Tenant
from tests.apikeys.conftest import Edge, Issue
from tests.catalog.hostile_paths import HOSTILE_PATHS
from tests.conftest import Caller
from tests.factories import ApiFactory
from tests.listening import listener

pytestmark = pytest.mark.django_db

AUTHORIZE = "/v1/gateway/authorize"
URI = "/acme/payments/refunds/7"
OFFICE, HOME = "198.51.100.7", "203.0.113.9"
# What a key restricts; a call that it allows, as Traefik reports it; one that it refuses; and for which reason.
RESTRICTIONS: list[tuple[dict[str, list[str]], dict[str, str], dict[str, str], str]] = [
    ({"allowed_ips": ["198.51.100.0/24"]}, {"X-Forwarded-For": OFFICE}, {"X-Forwarded-For": HOME}, "address"),
    ({"allowed_methods": ["GET"]}, {"X-Forwarded-Method": "GET"}, {"X-Forwarded-Method": "POST"}, "method"),
    ({"allowed_paths": ["/refunds"]}, {"X-Forwarded-Uri": URI}, {"X-Forwarded-Uri": "/acme/payments/all"}, "path"),
]


@pytest.mark.parametrize(("allowed", "inside", "outside", "what"), RESTRICTIONS, ids=["address", "method", "path"])
def test_a_call_outside_is_refused_and_counts_nothing(
    edge: Edge, issue: Issue, allowed: Any, inside: dict[str, str], outside: dict[str, str], what: str
) -> None:
    Api.objects.update(requests_per_hour=100)
    _key, secret = issue(**allowed)
    sent = {"X-Forwarded-Uri": URI, "X-API-Key": secret}

    assert edge.ask(AUTHORIZE, sent | inside).status_code == 200
    refused = edge.ask(AUTHORIZE, sent | outside)

    assert (refused.status_code, refused["X-Stoa-Reason"]) == (403, f"{what}_not_allowed")
    assert "ask the key's owner" in refused.json()["error"]["message"]
    assert sorted(Meter.objects.values_list("hour_calls", "month_calls")) == [(1, 1), (1, 1)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("keys_never_idle")
@pytest.mark.parametrize(("allowed", "inside", "outside", "what"), RESTRICTIONS, ids=["address", "method", "path"])
def test_the_cache_refuses_it_too(
    edge: Edge,
    issue: Issue,
    django_assert_num_queries: DjangoAssertNumQueries,
    allowed: Any,
    inside: dict[str, str],
    outside: dict[str, str],
    what: str,
) -> None:
    _key, secret = issue(**allowed)
    sent = {"X-Forwarded-Uri": URI, "X-API-Key": secret}
    with listener():
        wait_for_invalidation()
        for _call in range(5):
            assert edge.ask(AUTHORIZE, sent | inside).status_code == 200
        counted = list(Meter.objects.values_list("hour_calls", flat=True))
        with django_assert_num_queries(0):
            assert edge.ask(AUTHORIZE, sent | inside).status_code == 200
        assert edge.ask(AUTHORIZE, sent | outside)["X-Stoa-Reason"] == f"{what}_not_allowed"
        assert list(Meter.objects.values_list("hour_calls", flat=True)) == counted


# --- The address -----------------------------------------------------------------------------------------------------


def allows(edge: Edge, secret: str, **headers: str) -> bool:
    response = edge.authorize("/acme/payments", secret, **headers)
    assert response.status_code in (200, 403)
    return bool(response.status_code == 200)


@pytest.mark.parametrize(
    ("forwarded_for", "is_allowed"),
    [
        (OFFICE, True),
        (f"{HOME}, {OFFICE}", True),  # what stands left of the last hop, the client may have invented
        (f"{OFFICE}, {HOME}", False),
        (f"{OFFICE},", False),
        ("::ffff:198.51.100.7", True),
        ("2001:db8::1", True),
        ("2001:db8::1%eth0", True),
        ("2001:db9::1", False),
        (f"{OFFICE}:4711", False),
        (f"[{OFFICE}]", False),
        ("0306.063.0144.07", False),
        ("3325256711", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_the_address_is_the_last_hop_that_the_gateway_reports(
    edge: Edge, issue: Issue, forwarded_for: str, *, is_allowed: bool
) -> None:
    _key, secret = issue(allowed_ips=["198.51.100.0/24", "2001:db8::/32"])
    assert allows(edge, secret, X_Forwarded_For=forwarded_for) is is_allowed


def test_without_a_report_it_is_refused(edge: Edge, issue: Issue) -> None:
    _key, secret = issue(allowed_ips=["0.0.0.0/0", "::/0"])
    assert not allows(edge, secret)
    assert not allows(edge, secret, Forwarded=f"for={OFFICE}", X_Real_IP=OFFICE)


def test_the_hop_of_a_proxy_in_front_of_the_control_plane_is_the_gateways(
    edge: Edge, issue: Issue, settings: Any
) -> None:
    settings.STOA_TRUSTED_PROXIES = ["127.0.0.1/32"]
    _key, secret = issue(allowed_ips=["198.51.100.0/24"])
    gateway = "192.0.2.1"
    assert allows(edge, secret, X_Forwarded_For=f"{OFFICE}, {gateway}")
    assert not allows(edge, secret, X_Forwarded_For=f"{HOME}, {gateway}")
    # The gateway reports nobody: its own address is not its caller's.
    assert not allows(edge, secret, X_Forwarded_For=OFFICE)


# --- The method ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "method", "is_allowed"),
    [
        ("GET", "HEAD", True),
        ("HEAD", "GET", False),
        ("GET", "get", False),
        ("GET", "GET,POST", False),
        ("GET", "GET, GET", False),
        ("GET", " POST", False),
        ("GET", "", False),
        ("PURGE", "PURGE", True),
    ],
)
def test_methods_are_compared_exactly(edge: Edge, issue: Issue, allowed: str, method: str, *, is_allowed: bool) -> None:
    _key, secret = issue(allowed_methods=[allowed])
    assert allows(edge, secret, X_Forwarded_Method=method) is is_allowed


@pytest.mark.parametrize(
    ("profile", "headers"),
    [
        ("", {"X-Forwarded-Uri": URI, "X-Forwarded-Method": "{method}", "X-Original-Method": "POST"}),
        ("/nginx", {"X-Original-URI": URI, "X-Original-Method": "{method}", "X-Forwarded-Method": "POST"}),
        ("/ingress", {"X-Original-URL": f"https://x{URI}", "X-Original-Method": "{method}"}),
    ],
)
def test_each_profile_reports_the_method_in_its_own_header(
    edge: Edge, issue: Issue, profile: str, headers: dict[str, str]
) -> None:
    _key, secret = issue(allowed_methods=["PUT"])

    def reason(method: str) -> str | None:
        sent = {name: value.replace("{method}", method) for name, value in headers.items()}
        # The method of the question itself means nothing: nginx always sends GET.
        answer = edge.ask(AUTHORIZE + profile, sent | {"X-API-Key": secret}, "GET")
        return answer.headers.get("X-Stoa-Reason")

    assert (reason("PUT"), reason("GET")) == (None, "method_not_allowed")


def test_envoy_reports_the_method_as_its_own(edge: Edge, issue: Issue) -> None:
    _key, secret = issue(allowed_methods=["PUT"])
    sent = {"X-API-Key": secret, "X-Forwarded-Method": "PUT", "X-Original-Method": "PUT"}
    assert edge.ask(f"{AUTHORIZE}/envoy{URI}", sent, "PUT").status_code == 200
    assert edge.ask(f"{AUTHORIZE}/envoy{URI}", sent, "GET")["X-Stoa-Reason"] == "method_not_allowed"


# --- The path --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "is_allowed"),
    [
        ("/acme/payments/refunds", True),
        ("/acme/payments/refunds/", True),
        ("/acme/payments/refunds/7?x=/../", True),
        ("/acme/payments/%72efunds/7", True),
        ("/acme/payments/refunds-all", False),
        ("/acme/payments/refundsx", False),
        ("/acme/payments/REFUNDS", False),
        ("/acme/payments/refunds;all", False),
        ("/acme/payments/refunds%3Ball", False),
        ("/acme/payments/refunds,/x", False),
        ("/acme/payments/x/refunds", False),
        ("/acme/payments", False),
        ("/acme/payments?/refunds", False),
    ],
)
def test_paths_are_compared_by_whole_segments(edge: Edge, issue: Issue, uri: str, *, is_allowed: bool) -> None:
    _key, secret = issue(allowed_paths=["/refunds"])
    answer = edge.authorize(uri, secret)
    assert (answer.status_code == 200) is is_allowed
    assert is_allowed or answer["X-Stoa-Reason"] in ("path_not_allowed", "route_unknown")


@pytest.mark.parametrize("uri", HOSTILE_PATHS, ids=repr)
def test_no_spelling_leads_out_of_the_allowed_path(edge: Edge, issue: Issue, uri: str) -> None:
    _key, secret = issue(allowed_paths=["/refunds"])
    hostile = uri.replace("/acme/payments", "/acme/payments/refunds")
    for profile, name in (("", "X-Forwarded-Uri"), ("/nginx", "X-Original-URI")):
        assert edge.ask(AUTHORIZE + profile, {name: hostile, "X-API-Key": secret}).status_code != 200
    assert edge.verify(secret, path=hostile).json().get("valid", False) is False


def test_the_root_of_an_api_is_all_of_it(edge: Edge, issue: Issue, acme: Tenant) -> None:
    _key, secret = issue(allowed_paths=["/"])
    assert allows(edge, secret)
    Api.objects.update(path="/")
    _key, secret = issue(allowed_paths=["/payments"])
    assert allows(edge, secret)
    ApiFactory(tenant=acme, path="/payments")
    assert edge.authorize("/acme/payments", secret)["X-Stoa-Reason"] == "api_not_subscribed"


# --- verify and explain ----------------------------------------------------------------------------------------------

ALL: dict[str, Any] = {"allowed_ips": ["198.51.100.0/24"], "allowed_methods": ["GET"], "allowed_paths": ["/refunds"]}
ASKED: dict[str, Any] = {"address": OFFICE, "method": "GET", "path": URI}


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (None, "valid"),
        ("address", "address_not_allowed"),
        ("method", "method_not_allowed"),
        ("path", "path_not_allowed"),
    ],
)
def test_a_question_that_leaves_out_what_the_key_restricts_is_refused(
    edge: Edge, issue: Issue, victor: Caller, left_out: str | None, reason: str
) -> None:
    key, secret = issue(**ALL)
    asked = {name: value for name, value in ASKED.items() if name != left_out}

    assert edge.verify(secret, **asked).json()["code"] == reason
    if left_out != "path":
        explained = victor.post("/v1/tenants/acme/explain", asked | {"key_id": key.id}).json()
        assert (explained["reason"] or "valid") == reason
        failed = [check["check"] for check in explained["checks"] if not check["passed"]]
        assert failed == ([reason.replace("_not", "")] if left_out else [])


@pytest.mark.parametrize("address", ["", "x", "198.51.100.0/24", "198.51.100.7, 203.0.113.9", 7, None])
def test_what_is_no_address_is_a_wrong_field(edge: Edge, secret: str, victor: Caller, address: object) -> None:
    assert edge.verify(secret, address=address).json()["error"]["details"][0]["field"] == "address"
    asked = {"path": URI, "key": secret, "address": address}
    assert victor.post("/v1/tenants/acme/explain", asked).json()["error"]["details"][0]["field"] == "address"


# --- The statement and the cache agree -------------------------------------------------------------------------------

NETWORKS = st.tuples(st.ip_addresses(), st.integers(0, 128)).map(lambda pair: normalise_cidr(f"{pair[0]}/{pair[1]}"))
NEAR = st.sampled_from(["198.51.100.7", "198.51.100.8", "::ffff:198.51.100.7", "2001:db8::1", "::1.2.3.4", "127.0.0.1"])
ADDRESSES = st.none() | NEAR.map(ip_address) | st.ip_addresses()
KNOWN_NETWORKS = st.sampled_from(["198.51.100.0/29", "198.51.100.8/32", "2001:db8::/32", "::102:304/128", "0.0.0.0/0"])
METHODS = st.sampled_from(["GET", "HEAD", "POST", "get", "PURGE"])
SEGMENTS = st.sampled_from(["a", "ab", "A", "a.b", "a-", "~", "payments", "refunds"])
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda segments: "/" + "/".join(segments))


def lists(members: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any] | None]:
    return st.none() | st.lists(members.filter(bool), min_size=1, max_size=4)


@given(
    api_path=PATHS,
    allowed_ips=lists(NETWORKS | KNOWN_NETWORKS),
    allowed_methods=lists(METHODS),
    allowed_paths=lists(PATHS),
    address=ADDRESSES,
    method=st.just("") | METHODS,
    path=PATHS | PATHS.map(lambda path: f"{path};x") | PATHS.map(lambda path: f"{path.rstrip('/')}/"),
    mode=st.sampled_from(["live", "test"]),
    follows_upstream=st.booleans(),
    serves=st.sampled_from([None, ["own"], ["another"], ["own", "another"]]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_statement_and_the_cache_compare_alike(issue_one: Callable[[], tuple[ApiKey, str]], **example: Any) -> None:
    key, secret = issue_one()
    Api.objects.update(path=normalise_path(example["api_path"]), sandbox_url="https://sandbox.example.com")
    stored = {name: value for name, value in example.items() if name.startswith("allowed_") or name == "mode"}
    ApiKey.objects.update(**stored)
    address = example["address"]
    mapped = getattr(address, "ipv4_mapped", None) or address  # as a gateway's report is read
    serves = (
        None if example["serves"] is None else {key.tenant_id if each == "own" else each for each in example["serves"]}
    )
    call = Call(
        secret,
        read_target(f"/acme{example['path']}"),
        cost=0,
        method=example["method"],
        read_address=lambda: mapped,
        tenants=serves,
        follows_upstream=example["follows_upstream"],
    )

    by_statement = run(parameters_of(call))
    cached = run(parameters_of(replace(call, tenants=None)))

    if cached is None:
        return
    assert cached.key_id == key.id
    assert call.keeps_to(cached) is (by_statement is not None and all(by_statement.checks))
    assert decide(call).is_allowed is call.keeps_to(cached)


@pytest.fixture
def issue_one(issue: Issue) -> Callable[[], tuple[ApiKey, str]]:
    """Return one key, however often it is asked for: hypothesis makes many examples of one test."""
    issued = issue()
    return lambda: issued
