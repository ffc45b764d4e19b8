"""Forty paths that two programs could read differently, through real proxies: who is called is who was decided about.

The key opens payments alone. Whatever the path, no other API is called, and what payments is sent lies below its base.
"""

import re

from tests.gateways.conftest import Deployment
from tests.gateways.proxies import Answer, Proxy

REFUSED = (400, 403, 404, 414, 503)  # 503: Django's test server looks for a file of that name, and fails on the longest
CALM = re.compile(r"/base(?:/[\w!$&'()*+,;=:@.~%-]*)*(?:\?.*)?", re.ASCII)

HOSTILE: tuple[bytes, ...] = (
    b"/acme/payments/../admin",
    b"/acme/payments/..%2fadmin",
    b"/acme/payments/..%2Fadmin",
    b"/acme/payments/%2e%2e/admin",
    b"/acme/payments/%2E%2E%2Fadmin",
    b"/acme/payments/.%2e/admin",
    b"/acme/payments/..%252fadmin",
    b"/acme/payments/%252e%252e/admin",
    b"/acme/payments/%25252e%25252e/admin",
    b"/acme/payments/..\\admin",
    b"/acme/payments/..%5cadmin",
    b"/acme/payments/..;/admin",
    b"/acme/payments/..;a=b/admin",
    b"/acme/payments/;/../admin",
    b"/acme/payments/./admin",
    b"/acme/payments//admin",
    b"/acme//admin",
    b"//acme/admin",
    b"//acme/payments/../admin",
    b"/acme/payments/../../acme/admin",
    b"/acme/payments%2f..%2fadmin",
    b"/acme/payments%2fadmin",
    b"/acme%2fadmin",
    b"/acme/payments/%c0%ae%c0%ae/admin",
    b"/acme/payments/..%c0%afadmin",
    b"/acme/payments/%e0%80%af../admin",
    b"/acme/payments/%00/../admin",
    b"/acme/payments%00/admin",
    b"/acme/payments/\x00admin",
    b"/acme/payments/%0d%0aX-Stoa-Api:%20evil",
    b"/acme/payments/%0a/admin",
    b"/acme/payments/\xff\xfe/admin",
    b"/acme/payments/%ff",
    b"/acme/payments/%zz/../admin",
    b"/acme/payments/%",
    b"/acme/payments#/../admin",
    b"/acme/payments/,/acme/admin",
    b"/acme/payments/%2e",
    b"/acme/payments/..",
    b"/acme/open/../admin",
    b"/ACME/admin",
    b"http://other.example.com/acme/admin",
    b"http://gateway.example.com/acme/payments/../admin",
    b"/acme/payments/" + b"a/" * 4_000,
    b"/acme/payments/../_stoa/authorize",
    b"/_stoa/authorize?a=/acme/payments",
    b"@127.0.0.1:9/acme/payments",
    b"/acme/payments@127.0.0.1:9/",
)


def fault_of(path: bytes, deployment: Deployment, answer: Answer) -> str | None:
    """Return what is wrong with how a path was treated; None if nothing is."""
    if deployment.others.calls:
        return f"{path!r} called another API: {deployment.others.calls}"
    if not deployment.paying.calls:
        return None if answer.status in REFUSED else f"{path!r} was answered {answer.status}"
    _method, target, headers = deployment.paying.calls.pop()
    if headers["x-stoa-api"] != deployment.payments.id:
        return f"{path!r} was decided about {headers['x-stoa-api']}"
    if not CALM.fullmatch(target) or "/.." in target:
        return f"{path!r} became {target!r}"
    return None


def test_the_list_is_long_enough() -> None:
    assert len(set(HOSTILE)) >= 40


def test_no_hostile_path_reaches_another_api(edge: Proxy, deployment: Deployment) -> None:
    faults = []
    for path in HOSTILE:
        fault = fault_of(path, deployment, edge.call(path, deployment.credential))
        if fault:
            faults.append(fault)
            deployment.others.calls.clear()
            deployment.paying.calls.clear()
    assert faults == []
    # The proxy is as well as before, and so is the key.
    assert edge.call("/acme/payments/1", deployment.credential).status == 200
    assert deployment.paying.calls[0][1] == "/base/1"


HONEST = {
    "/acme/payments": "/base",
    "/acme/payments/": "/base/",
    "/acme/payments/a%20b": "/base/a%20b",
    "/acme/payments/a%20b?c=%2F..%2F": "/base/a%20b?c=%2F..%2F",
    "/acme/payments/caf%C3%A9": "/base/caf%C3%A9",
    "/acme/%70ayments/1": "/base/1",
    "/acme/payments/a;b=c,d": "/base/a;b=c,d",
    "/acme/payments/...": "/base/...",
    "/acme/payments/x?": "/base/x",
}


def test_an_honest_path_arrives_as_it_was_sent(edge: Proxy, deployment: Deployment) -> None:
    for path in HONEST:
        assert edge.call(path, deployment.credential).status == 200, path
    # An empty query may go missing on the way.
    arrived = [target.removesuffix("?") for _method, target, _headers in deployment.paying.calls]
    assert arrived == list(HONEST.values())
