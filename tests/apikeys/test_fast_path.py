"""The fast path: it only lets calls pass, and its answers are Django's."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from io import BytesIO
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from django.test import RequestFactory
from django.test.client import ClientHandler
from django.urls import resolve

from apikeys.gateway.calls import CALL_KEY
from apikeys.gateway.fast_path import CachedDecisionMiddleware
from apikeys.models import ApiKey
from apikeys.services import keys
from apikeys.services.revocations import revoke_key
from catalog.authentication import HEADER
from catalog.models import Api, Gateway
from catalog.services.gateways import create_gateway
from stoa_cp.caching.barrier import wait_for_invalidation
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.observability.metrics import OWN
from subscriptions.models import Subscription
from tests.listening import listener

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keys_never_idle")]

VERIFY = "/v1/gateway/keys/verify"
AUTHORIZE = "/v1/gateway/authorize"
# Of two answers to the same question, this differs.
OF_THE_CALL = {"X-Request-Id", "X-Stoa-Decision", "X-RateLimit-Remaining", "Content-Length"}


class Django:
    """Django behind the fast path; counts its requests."""

    def __init__(self) -> None:
        self.calls = 0
        self._handler = ClientHandler(enforce_csrf_checks=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.calls += 1
        response = self._handler(environ)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.headers.items()))
        return [response.content]


class Service:
    """The whole application, asked as a web server asks it."""

    def __init__(self, token: str) -> None:
        self.django = Django()
        self.application = CachedDecisionMiddleware(self.django)
        self.token = token

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[str, dict[str, str], bytes]:
        sent = {HEADER: self.token} | {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = sent.pop("Content-Type", "application/json")
        environ = RequestFactory().generic(method, path, body, content_type, headers=sent).environ
        environ["wsgi.input"] = BytesIO(body)
        answered: list[Any] = []
        (content,) = self.application(environ, lambda *start: answered.extend(start))
        return answered[0], dict(answered[1]), content


@pytest.fixture
def service(db: None) -> Iterator[Service]:
    token = create_gateway("edge-1", by=SYSTEM).secret
    with listener():
        yield Service(token)


@pytest.fixture
def secret(mobile: Subscription) -> str:
    Subscription.objects.update(rate_limit=1_000_000, quota=1_000_000)
    return keys.issue_key(mobile, keys.NewKey(), by=SYSTEM).secret


def question(kind: str, secret: str) -> tuple[str, str, bytes, dict[str, str]]:
    key = {"X_API_Key": secret}
    uri = "/acme/payments/7?a=b"
    return {
        "authorize": ("GET", AUTHORIZE, b"", key | {"X_Forwarded_Uri": uri}),
        "authorize a POST": ("POST", AUTHORIZE, b"its body", key | {"X_Forwarded_Uri": uri}),
        "authorize with a bearer": (
            "GET",
            AUTHORIZE,
            b"",
            {"Authorization": f"Bearer {secret}", "X_Forwarded_Uri": uri},
        ),
        "nginx": ("GET", f"{AUTHORIZE}/nginx", b"", key | {"X_Original_URI": uri}),
        "envoy": ("GET", f"{AUTHORIZE}/envoy{uri}", b"", key),
        "ingress": ("GET", f"{AUTHORIZE}/ingress", b"", key | {"X_Original_URL": f"https://api.example.com{uri}"}),
        "verify": ("POST", VERIFY, json.dumps({"key": secret}).encode(), {"Accept_Language": "fr"}),
        "verify a path": ("POST", VERIFY, json.dumps({"key": secret, "path": uri}).encode(), {}),
        "verify a place": (
            "POST",
            VERIFY,
            json.dumps({"key": secret, "path": uri, "method": "GET", "address": "198.51.100.7"}).encode(),
            {},
        ),
    }[kind]


KINDS = [
    "authorize",
    "authorize a POST",
    "authorize with a bearer",
    "nginx",
    "ingress",
    "envoy",
    "verify",
    "verify a path",
    "verify a place",
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_the_fast_path_is_the_one_of_django(service: Service, secret: str, kind: str) -> None:
    method, path, body, headers = question(kind, secret)
    answers = [service.ask(method, path, body, **headers) for _call in range(3)]
    assert service.django.calls == 2
    (status, by_django, content), (fast_status, by_fast_path, fast_content) = answers[0], answers[-1]
    assert status == fast_status == "200 OK"
    assert by_django.keys() == by_fast_path.keys()
    assert {name: by_fast_path[name] for name in by_fast_path.keys() - OF_THE_CALL} == {
        name: by_django[name] for name in by_fast_path.keys() - OF_THE_CALL
    }
    assert by_fast_path["Content-Length"] == str(len(fast_content))
    if content:
        assert [*json.loads(fast_content)] == [*json.loads(content)]
        used = [json.loads(content)["quota"]["used"] for _status, _headers, content in answers]
    else:
        used = [1_000_000 - int(headers["X-RateLimit-Remaining"]) for _status, headers, _content in answers]
    assert used == [1, 2, 3]


def test_every_answer_has_an_id_of_its_own(service: Service, secret: str) -> None:
    method, path, body, headers = question("authorize", secret)
    answers = [service.ask(method, path, body, X_Request_Id="theirs", **headers)[1] for _call in range(4)]
    for name in ("X-Request-Id", "X-Stoa-Decision"):
        assert len({answer[name] for answer in answers} - {"theirs"}) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_counted_under_the_route_that_django_finds(service: Service, secret: str, kind: str) -> None:
    method, path, body, headers = question(kind, secret)
    route = resolve(path.partition("?")[0]).route
    labels = {"method": method, "route": route, "status": "200"}
    for _call in range(3):
        before = OWN.get_sample_value("stoa_http_requests_total", labels) or 0
        service.ask(method, path, body, **headers)
    assert service.django.calls == 2
    assert OWN.get_sample_value("stoa_http_requests_total", labels) == before + 1


FOR_DJANGO: dict[str, tuple[dict[str, Any], str]] = {
    "no gateway": ({"headers": {HEADER: "nobody"}}, "401 Unauthorized"),
    "another method": ({"method": "GET"}, "405 Method Not Allowed"),
    "another type": ({"headers": {"Content-Type": "text/plain"}}, "415 Unsupported Media Type"),
    "no JSON": ({"body": b"{"}, "400 Bad Request"),
    "a field twice": ({"body": b'{"key": "KEY", "key": "KEY"}'}, "400 Bad Request"),
    "an unknown field": ({"body": b'{"key": "KEY", "colour": "red"}'}, "400 Bad Request"),
    "another type of field": ({"body": b'{"key": ["KEY"]}'}, "400 Bad Request"),
    "a path that is none": ({"body": b'{"key": "KEY", "path": "/acme/../globex"}'}, "200 OK"),
    "an address that is none": ({"body": b'{"key": "KEY", "address": "home"}'}, "400 Bad Request"),
    "an empty method": ({"body": b'{"key": "KEY", "method": ""}'}, "400 Bad Request"),
    "a long method": ({"body": b'{"key": "KEY", "method": "' + b"G" * 33 + b'"}'}, "400 Bad Request"),
    "a method with blanks": ({"body": b'{"key": "KEY", "method": " GET "}'}, "200 OK"),
    "an unknown key": ({"body": b'{"key": "another"}'}, "200 OK"),
    "a look": ({"body": b'{"key": "KEY", "cost": 0}'}, "200 OK"),
    "a large body": ({"body": b'{"key": "KEY"}' + b" " * 300_000}, "413 Request Entity Too Large"),
    "another path": ({"path": "/v1/gateway/config"}, "405 Method Not Allowed"),
    "another API": ({"path": "/v1/tenants"}, "401 Unauthorized"),
}


@pytest.mark.parametrize("what", FOR_DJANGO)
def test_django_answers_what_is_not_ordinary(service: Service, secret: str, what: str) -> None:
    for _call in range(3):
        service.ask(*question("verify", secret)[:3])
    before = service.django.calls
    changes, status = FOR_DJANGO[what]
    asked = {"method": "POST", "path": VERIFY, "body": b'{"key": "KEY"}', "headers": {}} | changes
    body = asked["body"].replace(b"KEY", secret.encode())
    named = {name.replace("-", "_"): value for name, value in asked["headers"].items()}
    assert service.ask(asked["method"], asked["path"], body, **named)[0] == status
    assert service.django.calls == before + 1


READERS = ("calls.read_target", "calls.read_url_target", "calls.read_decoded_target", "fast_path.read_target")


@pytest.mark.parametrize("kind", KINDS)
def test_django_reads_and_digests_no_call_again(
    service: Service, secret: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counter[str]()

    def count(name: str, what: str) -> None:
        module, function = what.rsplit(".", 1)
        original = getattr(import_module(module), function)

        def counting(*arguments: Any) -> Any:
            counted[name] += 1
            return original(*arguments)

        monkeypatch.setattr(what, counting)

    method, path, body, headers = question(kind, secret)
    service.ask(method, path, body, **headers)  # Django authenticates the gateway
    Subscription.objects.update(rate_limit=0)
    wait_for_invalidation()
    service.ask(method, path, body, **headers)  # the gateway is known again from here on
    count("digest", "apikeys.decisions.call.digests")
    for reader in (*READERS, "views.read_target"):
        count("target", f"apikeys.gateway.{reader}")
    _status, answered, content = service.ask(method, path, body, **headers)
    assert service.django.calls == 3
    assert "rate_limited" in (answered.get("X-Stoa-Reason"), json.loads(content).get("code"))
    assert counted == {"digest": 1} | ({} if kind == "verify" else {"target": 1})


def test_a_client_cannot_hand_a_call_over(service: Service, secret: str) -> None:
    claims = {CALL_KEY: secret, "wsgi.stoa.call": secret}
    status, answered, _content = service.ask("GET", AUTHORIZE, X_Forwarded_Uri="/acme/payments", **claims)
    assert (status, answered["X-Stoa-Reason"]) == ("401 Unauthorized", "key_missing")


def test_a_verification_without_a_key_is_no_anonymous_call(service: Service, secret: str) -> None:
    Api.objects.update(auth_required=False)
    wait_for_invalidation()
    for _call in range(3):
        service.ask("GET", AUTHORIZE, X_Forwarded_Uri="/acme/payments")
    assert service.django.calls == 1  # no meter counts anonymous calls of an API without a limit
    _status, _headers, content = service.ask("POST", VERIFY, json.dumps({"key": "", "path": "/acme/payments"}).encode())
    assert json.loads(content)["code"] == "key_missing"


@pytest.mark.parametrize("kind", ["verify", "authorize"])
def test_a_revoked_key_is_refused_by_the_next_answer(service: Service, secret: str, kind: str) -> None:
    method, path, body, headers = question(kind, secret)
    for _call in range(3):
        service.ask(method, path, body, **headers)
    revoke_key(ApiKey.objects.get(), by=SYSTEM)
    status, answered, content = service.ask(method, path, body, **headers)
    assert (json.loads(content)["code"] if kind == "verify" else answered["X-Stoa-Reason"]) == "key_revoked"
    assert status == ("200 OK" if kind == "verify" else "401 Unauthorized")


def test_a_gateway_that_was_withdrawn_is_refused_by_the_next_answer(service: Service, secret: str) -> None:
    for _call in range(3):
        service.ask(*question("verify", secret)[:3])
    Gateway.objects.all().delete()
    wait_for_invalidation()
    assert service.ask(*question("verify", secret)[:3])[0] == "401 Unauthorized"
