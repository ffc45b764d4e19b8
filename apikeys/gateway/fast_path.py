"""Answers, before Django does, the calls that this process may let pass without asking the database.

It lets calls pass and refuses none: whatever is not an ordinary question about a call that is counted already, Django
answers as ever. The answers are the same; only what is answered here is in ``/metrics`` and not in the log.
"""

from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.core.handlers.wsgi import get_path_info

from apikeys.decisions.decide import Call, cached_decision
from apikeys.gateway.forward_auth import PROFILES, Profile, envoy, headers_of, key_of
from apikeys.gateway.middleware import common_headers, language_of
from apikeys.gateway.verify import encode_report
from catalog.gateways import cached_gateway
from catalog.routing import read_target
from stoa_cp.domain.errors import InvalidField
from stoa_cp.observability.headers import API_HEADERS
from stoa_cp.observability.metrics import count_request
from stoa_cp.rest.middleware import GATEWAY_PREFIX
from stoa_cp.rest.parsers import parse_json

AUTHORIZE, VERIFY = f"{GATEWAY_PREFIX}authorize", f"{GATEWAY_PREFIX}keys/verify"
PROFILES_BY_PATH = {f"{AUTHORIZE}/{name}".rstrip("/"): profile for name, profile in PROFILES.items()}
BELOW_ENVOY = f"{AUTHORIZE}/envoy/"
ROUTE_OF_ENVOY = f"^{AUTHORIZE[1:]}/envoy(?P<path>/.*)$"  # as the page of URLs has it


class CachedAnswer(NamedTuple):
    """A 200 but for the headers that every answer has."""

    headers: dict[str, str]
    content: bytes = b""


class CachedDecisionMiddleware:
    """The application with a short way in front of it."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, started_at = environ["PATH_INFO"], perf_counter()
        answer = _answer_from_cache(environ, path) if path.startswith(GATEWAY_PREFIX) else None
        if answer is None:
            return self.application(environ, start_response)
        language = language_of(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        headers = (
            answer.headers | {"X-Request-Id": str(uuid4())} | API_HEADERS | common_headers(answer.content, language)
        )
        start_response("200 OK", list(headers.items()))
        route = ROUTE_OF_ENVOY if path.startswith(BELOW_ENVOY) else path[1:]
        count_request(environ["REQUEST_METHOD"], route, HTTPStatus.OK, perf_counter() - started_at)
        return [answer.content]


def _answer_from_cache(environ: WSGIEnvironment, path: str) -> CachedAnswer | None:
    token = environ.get("HTTP_X_STOA_GATEWAY_TOKEN")
    if token is None or cached_gateway(token) is None:
        return None
    if path in PROFILES_BY_PATH:
        return _authorize(environ, PROFILES_BY_PATH[path])
    if path.startswith(BELOW_ENVOY):
        return _authorize(environ, envoy(get_path_info(environ).removeprefix(BELOW_ENVOY[:-1])))
    if path == VERIFY and environ["REQUEST_METHOD"] == "POST" and environ.get("CONTENT_TYPE") == "application/json":
        return _verify(environ)
    return None


def _authorize(environ: WSGIEnvironment, profile: Profile) -> CachedAnswer | None:
    key, is_foreign = key_of(environ)
    target = profile.target_of(environ)
    decision = None if target is None or is_foreign else cached_decision(Call(key, target))
    if decision is None or decision.facts is None or target is None:
        return None
    return CachedAnswer(headers_of(decision, decision.facts, target))


def _verify(environ: WSGIEnvironment) -> CachedAnswer | None:
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdecimal() or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return None
    body = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = BytesIO(body)  # for Django, if it is to answer
    call = _read_call(body)
    decision = cached_decision(call) if call else None
    if decision is None:
        return None
    return CachedAnswer({"Content-Type": "application/json"}, encode_report(decision))


def _read_call(body: bytes) -> Call | None:
    """Return the call that is asked about, if the question is a plain one."""
    try:
        asked = parse_json(body)
    except InvalidField:
        return None
    match asked:
        case {"key": str(key), **rest} if key and not rest:
            return Call(key)
        case {"key": str(key), "path": str(path), **rest} if key and not rest and (target := read_target(path)):
            return Call(key, target)
    return None
