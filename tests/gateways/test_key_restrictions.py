"""Real gateways report the address, the method and the path that a key may be restricted to."""

from dataclasses import replace
from typing import Any

import pytest

from apikeys.services.keys import NewKey, issue_key
from stoa_cp.domain.actors import SYSTEM
from tests.gateways.conftest import Deployment
from tests.gateways.proxies import Proxy

# The gateway's own address is 127.0.0.1.
OFFICE, HOME = "127.0.0.2", "127.0.0.3"
CLAIMS = (
    f"X-Forwarded-For: {OFFICE}",
    f"X-Real-IP: {OFFICE}",
    f"Forwarded: for={OFFICE}",
    f"X_Forwarded_For: {OFFICE}",
)


def credential(deployment: Deployment, **allowed: Any) -> str:
    return f"X-API-Key: {issue_key(deployment.mobile, NewKey(**allowed), by=SYSTEM).secret}"


def test_a_key_is_for_the_callers_address(edge: Proxy, deployment: Deployment) -> None:
    key = credential(deployment, allowed_ips=[OFFICE])
    office, home = replace(edge, caller=OFFICE), replace(edge, caller=HOME)

    assert office.call("/acme/payments", key).status == 200
    for claim in ("Accept: */*", *CLAIMS):
        answer = home.call("/acme/payments", key, claim)
        assert (answer.status, answer.error["reason"]) == (403, "address_not_allowed"), claim
    ((_method, _target, headers),) = deployment.paying.calls
    assert headers["x-forwarded-for"] == OFFICE


@pytest.mark.parametrize("claim", ["X-HTTP-Method-Override: GET", "X-Original-Method: GET", "X-Forwarded-Method: GET"])
def test_a_key_is_for_the_callers_method(edge: Proxy, deployment: Deployment, claim: str) -> None:
    key = credential(deployment, allowed_methods=["GET"])

    assert edge.call("/acme/payments", key).status == 200
    answer = edge.call("/acme/payments", key, claim, method="POST", body=b"x")
    assert (answer.status, answer.error["reason"]) == (403, "method_not_allowed")
    assert deployment.calls == 1


def test_a_key_is_for_the_path_that_the_upstream_gets(edge: Proxy, deployment: Deployment) -> None:
    key = credential(deployment, allowed_paths=["/refunds"])

    assert edge.call("/acme/payments/refunds/7?/../x", key).status == 200
    for target in ("/acme/payments/all", "/acme/payments/refundsx", "/acme/payments/refunds;x", "/acme/payments"):
        answer = edge.call(target, key)
        assert (answer.status, answer.error["reason"]) == (403, "path_not_allowed"), target
    for target in ("refunds/../all", "refunds/%2e%2e/all", "refunds%2f..%2fall", "refunds//../all", "refunds/..;/all"):
        edge.call(f"/acme/payments/{target}", key)
    # Envoy sends some of these on, as it has normalised them before it asked.
    assert {target.partition("refunds/")[0] for _method, target, _headers in deployment.paying.calls} == {"/base/"}
    assert ".." not in "".join(target.partition("?")[0] for _method, target, _headers in deployment.paying.calls)
