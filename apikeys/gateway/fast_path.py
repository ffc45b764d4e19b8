"""Answers calls that this process has a token for, as WSGI middleware before Django.

A pure optimisation. It only lets calls pass: Django answers all else, from what was read here if that was an ordinary
call. The answers are the same. The only difference: what is answered here is counted in ``/metrics`` and not logged
call by call. With the cache and this path, two cores verify 21,481 keys a second; without both, 1,587.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.core.handlers.wsgi import get_path_info

from apikeys.decisions.call import Call
from apikeys.decisions.decide import MODE_PREFIXES, cached_decision
from apikeys.decisions.monitoring import CACHE, count_decision
from apikeys.gateway.calls import PROFILES, Profile, call_of, envoy_profile, hand_over, key_of
from apikeys.gateway.forward_auth import decision_headers
from apikeys.gateway.middleware import common_headers, language_of
from apikeys.gateway.serializers import MAX_METHOD_CHARS
from apikeys.gateway.verify import encode_verification
from catalog.authentication import BoundGateway, cached_gateway
from catalog.routing import read_target
from stoa_cp.crypto.credentials import is_well_formed
from stoa_cp.domain.errors import InvalidField
from stoa_cp.net.client_address import parse_address
from stoa_cp.observability.headers import API_HEADERS
from stoa_cp.observability.metrics import count_request
from stoa_cp.observability.request_ids import given_request_id
from stoa_cp.rest.limits import GATEWAY_PREFIX, VERIFY_PATH
from stoa_cp.rest.parsers import parse_json
from stoa_cp.rest.request_body import PLACE_WAIT_SECONDS, places_of_gateways

AUTHORIZE = f"{GATEWAY_PREFIX}authorize"
PROFILES_BY_PATH = {f"{AUTHORIZE}/{name}".rstrip("/"): profile for name, profile in PROFILES.items()}
ENVOY_PREFIX = f"{AUTHORIZE}/envoy/"
# The fields that the fast path reads, and a method that the view takes as it is.
ORDINARY_FIELDS = frozenset({"key", "path", "method", "address"})
METHOD = re.compile(rf"[!-~]{{0,{MAX_METHOD_CHARS}}}", re.ASCII)
ENVOY_ROUTE = f"^{AUTHORIZE[1:]}/envoy(?P<path>/.*)$"  # as in stoa_cp/urls.py: the label in /metrics


class CachedAnswer(NamedTuple):
    """The body of a 200, and the headers that not every answer to a gateway has."""

    headers: dict[str, str]
    content: bytes = b""


class CachedDecisionMiddleware:
    """The fast path in front of a WSGI application."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, started_at = environ["PATH_INFO"], perf_counter()
        answer = _answer_from_cache(environ, path) if path.startswith(GATEWAY_PREFIX) else None
        if answer is None:
            return self.application(environ, start_response)
        language = language_of(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        request_id = {"X-Request-Id": given_request_id(environ) or str(uuid4())}
        headers = answer.headers | request_id | API_HEADERS | common_headers(answer.content, language)
        start_response("200 OK", list(headers.items()))
        route = ENVOY_ROUTE if path.startswith(ENVOY_PREFIX) else path[1:]
        count_decision(None, CACHE)
        count_request(environ["REQUEST_METHOD"], route, HTTPStatus.OK, perf_counter() - started_at)
        return [answer.content]


def _answer_from_cache(environ: WSGIEnvironment, path: str) -> CachedAnswer | None:
    # Only gateways that were authenticated before: Django looks up a token that is not cached, and a bearer token.
    token = environ.get("HTTP_X_STOA_GATEWAY_TOKEN")
    gateway = None if token is None else cached_gateway(token)
    if gateway is None or not gateway.may_call_from(environ):
        return None
    if path in PROFILES_BY_PATH:
        return _authorize(environ, PROFILES_BY_PATH[path], gateway)
    if path.startswith(ENVOY_PREFIX):
        return _authorize(environ, envoy_profile(get_path_info(environ).removeprefix(ENVOY_PREFIX[:-1])), gateway)
    if (
        path == VERIFY_PATH
        and environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_TYPE") == "application/json"
    ):
        return _verify(environ, gateway)
    return None


def _authorize(environ: WSGIEnvironment, profile: Profile, gateway: BoundGateway) -> CachedAnswer | None:
    key, is_foreign = key_of(environ)
    target = profile.target_of(environ)
    if target is None or is_foreign:
        return None
    call = call_of(environ, profile, gateway, key, target)
    decision = cached_decision(call)
    if decision is None or decision.facts is None:
        hand_over(environ, call)
        return None
    return CachedAnswer(decision_headers(decision, decision.facts, target))


def _verify(environ: WSGIEnvironment, gateway: BoundGateway) -> CachedAnswer | None:
    if environ.get("QUERY_STRING"):
        return None  # Django refuses it: a verification has no query parameters
    length = environ.get("CONTENT_LENGTH") or ""
    # Not a number, or too large: Django refuses it, and has not to read the body for that.
    if not length.isdecimal() or int(length) > settings.STOA_MAX_BODY_BYTES:
        return None
    places = places_of_gateways(VERIFY_PATH)
    if not places.acquire(timeout=PLACE_WAIT_SECONDS):
        return None  # Django waits once more, and then answers that
    try:
        body = environ["wsgi.input"].read(int(length))
    finally:
        places.release()
    environ["wsgi.input"] = BytesIO(body)  # Django reads it again, if it has to answer: also a body that is cut off
    if len(body) < int(length):
        return None
    call = _read_call(body, gateway)
    if call is None:
        return None
    decision = cached_decision(call)
    if decision is None:
        # The view validates the fields of a body; of an ordinary one with a well-formed key, none can be invalid.
        if is_well_formed(call.key or "", *MODE_PREFIXES):
            hand_over(environ, call)
        return None
    return CachedAnswer({"Content-Type": "application/json"}, encode_verification(decision))


def _read_call(body: bytes, gateway: BoundGateway) -> Call | None:
    """Return the call of an ordinary verification: a key, and perhaps a path, a method and an address.

    Return None for any other body. An empty key is not ordinary: it is a missing one, and not an anonymous call.
    """
    try:
        fields = parse_json(body)
    except InvalidField:
        return None
    if not isinstance(fields, dict) or "key" not in fields or not fields.keys() <= ORDINARY_FIELDS:
        return None
    if not all(isinstance(value, str) and value for value in fields.values()):
        return None
    target = read_target(fields["path"]) if "path" in fields else None
    address = parse_address(fields["address"]) if "address" in fields else None
    method = fields.get("method", "")
    if ("path" in fields and not target) or ("address" in fields and not address) or not METHOD.fullmatch(method):
        return None
    return Call(fields["key"], target, method=method, read_address=lambda: address, tenants=gateway.tenants)
