"""Forward-auth: reads the original call from a proxy's question, and says the decision in headers.

Where the original call stands depends on the profile in the path, never on what headers happen to be there: a client
can send those of the other profiles.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from django.http import HttpResponse, JsonResponse
from django.utils.http import http_date
from structlog.contextvars import bind_contextvars

from apikeys.decisions.decide import OUR_PREFIX, Call, Decision, decide
from apikeys.decisions.reasons import Reason, sentence_of, status_of
from apikeys.decisions.statement import Facts
from catalog.routing import RequestTarget, read_decoded_target, read_target, read_url_target
from stoa_cp.db.ids import new_id
from stoa_cp.domain.errors import ErrorCode
from stoa_cp.net.urls import DEFAULT_PORTS
from stoa_cp.rest.problems import Detail, Problem

CODES: Mapping[int, ErrorCode] = {
    HTTPStatus.UNAUTHORIZED: ErrorCode.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: ErrorCode.FORBIDDEN,
    HTTPStatus.NOT_FOUND: ErrorCode.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: ErrorCode.RATE_LIMITED,
}
# nginx turns any other answer of an authorization server into a 500.
STATUSES_OF_NGINX = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# A request's headers as WSGI spells them: Django's ``request.META``.
Meta = Mapping[str, Any]
HEADER_SAFE = "".join(chr(number) for number in range(0x20, 0x7F) if chr(number) != "%")


@dataclass(frozen=True, slots=True)
class Profile:
    """How a family of proxies asks, and which statuses it lets through to the client (None: all)."""

    target_of: Callable[[Meta], RequestTarget | None]
    statuses: frozenset[HTTPStatus] | None = None


PROFILES: Mapping[str, Profile] = {
    "": Profile(lambda meta: read_target(meta.get("HTTP_X_FORWARDED_URI", ""))),
    "nginx": Profile(lambda meta: read_target(meta.get("HTTP_X_ORIGINAL_URI", "")), STATUSES_OF_NGINX),
    "ingress": Profile(lambda meta: read_url_target(meta.get("HTTP_X_ORIGINAL_URL", "")), STATUSES_OF_NGINX),
}


def envoy(path: str) -> Profile:
    """Return the profile of a proxy that appends the original path to ours; the server has decoded it."""
    return Profile(lambda _meta: read_decoded_target(path))


def authorize(meta: Meta, profile: Profile) -> HttpResponse:
    """Decide on the call that a proxy asks about. The request's own method, query and body mean nothing."""
    key, is_foreign = key_of(meta)
    target = profile.target_of(meta)
    if target is None:
        return _deny(Decision(Reason.ROUTE_UNKNOWN), profile)
    decision = decide(Call(None if is_foreign else key, target))
    if decision.reason == Reason.KEY_MISSING and is_foreign:
        decision = Decision(Reason.KEY_MALFORMED)
    if decision.reason or decision.facts is None:
        return _deny(decision, profile)
    headers = headers_of(decision, decision.facts, target)
    bind_contextvars(decision=headers["X-Stoa-Decision"], key=decision.facts.key_id)
    response = HttpResponse(status=HTTPStatus.OK, headers=headers)
    del response["Content-Type"]
    return response


def key_of(meta: Meta) -> tuple[str | None, bool]:
    """Return the consumer's key, and whether it is somebody else's: an open API may have keys of its own."""
    sent, bearer = meta.get("HTTP_X_API_KEY"), meta.get("HTTP_AUTHORIZATION", "")
    scheme, _blank, token = bearer.partition(" ")
    token = token if scheme.lower() == "bearer" and token.startswith(OUR_PREFIX) else ""
    if sent and token and sent != token:
        return f"{OUR_PREFIX}{sent},{token}", False  # which of them? malformed, like any two keys
    key = sent or token or None
    return key, key is not None and not key.startswith(OUR_PREFIX)


def headers_of(decision: Decision, facts: Facts, target: RequestTarget) -> dict[str, str]:
    """Return what a proxy is told of a call that may pass."""
    headers = _identity(facts) | _upstream(facts, target) | _limits(decision) | _deprecation_headers(facts)
    headers["X-Stoa-Decision"] = new_id("dec")
    return headers


def _deny(decision: Decision, profile: Profile) -> HttpResponse:
    reason = decision.reason or Reason.ROUTE_UNKNOWN
    status, sentence = status_of(reason), str(sentence_of(reason))
    problem = Problem(CODES[status], (Detail("", sentence, reason.value),), message=sentence)
    body = problem.envelope()
    body["error"]["reason"] = reason.value
    sent = HTTPStatus.FORBIDDEN if profile.statuses and status not in profile.statuses else status
    response = JsonResponse(body, status=sent, headers=_limits(decision) | {"X-Stoa-Reason": reason.value})
    if profile.statuses:
        response["X-Stoa-Status"] = str(int(status))
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="stoa"'
    if decision.facts and decision.retry_at:
        wait = decision.retry_at - decision.facts.asked_at
        response["Retry-After"] = str(max(1, math.ceil(wait.total_seconds())))
    return response


def _identity(facts: Facts) -> dict[str, str]:
    """Return who calls. Always the same names, empty for an anonymous call: what is missing, a client could send."""
    return {
        "X-Stoa-Tenant": facts.tenant_id,
        "X-Stoa-Api": facts.api_id,
        "X-Stoa-Subscription": facts.subscription_id or "",
        "X-Stoa-Application": _printable(facts.application or ""),
        "X-Stoa-Key": facts.key_id or "",
        "X-Stoa-Plan": facts.plan or "",
    }


def _upstream(facts: Facts, target: RequestTarget) -> dict[str, str]:
    """Return where the call goes: the upstream's parts, and the path there, without the query."""
    scheme, host, base_path = _parts_of(facts.upstream_url)
    return {
        "X-Stoa-Upstream": facts.upstream_url,
        "X-Stoa-Upstream-Scheme": scheme,
        "X-Stoa-Upstream-Host": host,
        "X-Stoa-Path": base_path + target.path_behind(facts.api_path) or "/",
    }


@lru_cache(maxsize=10_000)
def _printable(name: str) -> str:
    """Return what a header can hold of whatever its owner called it: the rest is percent-encoded, as in a URL."""
    return quote(name, safe=HEADER_SAFE)


@lru_cache(maxsize=10_000)
def _parts_of(upstream_url: str) -> tuple[str, str, str]:
    """Return the scheme, ``host:port``, and the base path without a slash at its end."""
    parts = urlsplit(upstream_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts.scheme, f"{host}:{parts.port or DEFAULT_PORTS[parts.scheme]}", parts.path.rstrip("/")


def _limits(decision: Decision) -> dict[str, str]:
    """Return the hour's budget: the subscription's, or the API's where the subscription has none; empty for none."""
    facts = decision.facts
    limit = facts and (facts.ceiling if facts.rate_limit is None else facts.rate_limit)
    if facts is None or limit is None:
        return dict.fromkeys(("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"), "")
    calls = decision.calls_this_hour if facts.rate_limit is not None else facts.api_calls + decision.used
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(max(0, limit - calls)),
        "X-RateLimit-Reset": str(int(facts.hour_ends_at.timestamp())),
    }


def _deprecation_headers(facts: Facts) -> dict[str, str]:
    """Return the warnings of a deprecated API (RFC 9745 §2, RFC 8594 §3)."""
    headers = {}
    if facts.deprecated_at:
        headers["Deprecation"] = f"@{int(facts.deprecated_at.timestamp())}"
    if facts.sunset_at:
        headers["Sunset"] = http_date(facts.sunset_at.timestamp())
    return headers
