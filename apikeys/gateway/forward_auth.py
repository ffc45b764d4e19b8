"""Forward-auth: answers a proxy's query about a call with a status, and with the decision in headers."""

import math
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from django.http import HttpResponse, JsonResponse
from django.utils.http import http_date
from structlog.contextvars import bind_contextvars

from apikeys.decisions.decide import Decision, decide
from apikeys.decisions.monitoring import count_decision
from apikeys.decisions.reasons import Reason, sentence_of, status_of
from apikeys.decisions.statement import Facts
from apikeys.decisions.windows import remaining
from apikeys.gateway.calls import Meta, Profile, call_of, handed_over, key_of
from catalog.authentication import BoundGateway
from catalog.routing import RequestTarget
from stoa_cp.db.ids import new_id
from stoa_cp.domain.errors import ErrorCode
from stoa_cp.net.urls import DEFAULT_PORTS
from stoa_cp.rest.problems import Detail, Problem

CODE_BY_STATUS: Mapping[int, ErrorCode] = {
    HTTPStatus.UNAUTHORIZED: ErrorCode.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: ErrorCode.FORBIDDEN,
    HTTPStatus.NOT_FOUND: ErrorCode.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: ErrorCode.RATE_LIMITED,
}
# Printable ASCII but the percent sign, which marks what was encoded.
HEADER_SAFE = "".join(chr(number) for number in range(0x20, 0x7F) if chr(number) != "%")
# How many derived values a process keeps: one for each decision that it can cache. Deriving them takes 4 and 5 µs a
# call.
MAX_DERIVED = 10_000


def authorize(meta: Meta, profile: Profile, gateway: BoundGateway) -> HttpResponse:
    """Decide on the call that a proxy's request is about. The request's own query and body mean nothing."""
    decision, target = _decide(meta, profile, gateway)
    count_decision(decision.reason, decision.source)
    if decision.reason or decision.facts is None or target is None:
        return _deny(decision, profile)
    headers = decision_headers(decision, decision.facts, target)
    bind_contextvars(decision=headers["X-Stoa-Decision"], key=decision.facts.key_id)
    response = HttpResponse(status=HTTPStatus.OK, headers=headers)
    del response["Content-Type"]
    return response


def _decide(meta: Meta, profile: Profile, gateway: BoundGateway) -> tuple[Decision, RequestTarget | None]:
    call = handed_over(meta)
    if call is not None:
        return decide(call), call.target
    key, is_foreign = key_of(meta)
    target = profile.target_of(meta)
    if target is None:
        return Decision(Reason.ROUTE_UNKNOWN), None
    decision = decide(call_of(meta, profile, gateway, None if is_foreign else key, target))
    if decision.reason == Reason.KEY_MISSING and is_foreign:
        # The API needs a key, and what was sent is not one of ours: "malformed" tells the caller more than "missing".
        decision = Decision(Reason.KEY_MALFORMED, source=decision.source)
    return decision, target


def decision_headers(decision: Decision, facts: Facts, target: RequestTarget) -> dict[str, str]:
    """Return the headers that tell a proxy about an allowed call."""
    headers = (
        _identity_headers(facts)
        | _routing_headers(facts, target)
        | _limit_headers(decision)
        | _deprecation_headers(facts)
    )
    headers["X-Stoa-Decision"] = new_id("dec")
    return headers


def _deny(decision: Decision, profile: Profile) -> HttpResponse:
    reason = decision.reason or Reason.ROUTE_UNKNOWN
    status, sentence = status_of(reason), str(sentence_of(reason))
    problem = Problem(CODE_BY_STATUS[status], (Detail("", sentence, reason.value),), message=sentence)
    body = problem.envelope()
    body["error"]["reason"] = reason.value
    # A profile that cannot pass the status on sends 403, and the status in a header.
    sent = HTTPStatus.FORBIDDEN if profile.statuses and status not in profile.statuses else status
    response = JsonResponse(body, status=sent, headers=_limit_headers(decision) | {"X-Stoa-Reason": reason.value})
    if profile.statuses:
        response["X-Stoa-Status"] = str(int(status))
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="stoa"'
    if decision.facts and decision.retry_at:
        wait = decision.retry_at - decision.facts.decided_at
        # At least a second: 0 would mean to retry at once, in the same hour.
        response["Retry-After"] = str(max(1, math.ceil(wait.total_seconds())))
    return response


def _identity_headers(facts: Facts) -> dict[str, str]:
    """Return who calls, for the upstream.

    All names each time, empty for an anonymous call: a proxy that copies a header from our answer leaves the client's
    own in place where the answer has none.
    """
    return {
        "X-Stoa-Tenant": facts.tenant_id,
        "X-Stoa-Api": facts.api_id,
        "X-Stoa-Subscription": facts.subscription_id or "",
        "X-Stoa-Application": _printable(facts.application or ""),
        "X-Stoa-Key": facts.key_id or "",
        "X-Stoa-Plan": facts.plan or "",
        "X-Stoa-Mode": facts.mode,
    }


def _routing_headers(facts: Facts, target: RequestTarget) -> dict[str, str]:
    """Return where the proxy sends the call: the upstream's parts, and the path there without the query."""
    # An allowed call has an upstream: without a sandbox, a test key is refused.
    upstream_url = facts.upstream_url or ""
    scheme, host, base_path = _parts_of(upstream_url)
    return {
        "X-Stoa-Upstream": upstream_url,
        "X-Stoa-Upstream-Scheme": scheme,
        "X-Stoa-Upstream-Host": host,
        "X-Stoa-Path": base_path + target.path_behind(facts.api_path) or "/",
    }


@lru_cache(maxsize=MAX_DERIVED)
def _printable(name: str) -> str:
    """Return a name as a header value: what is not printable ASCII is percent-encoded, as in a URL.

    An application's name may hold line breaks, which would begin another header.
    """
    return quote(name, safe=HEADER_SAFE)


@lru_cache(maxsize=MAX_DERIVED)
def _parts_of(upstream_url: str) -> tuple[str, str, str]:
    """Return the scheme, ``host:port``, and the base path without a slash at its end."""
    parts = urlsplit(upstream_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts.scheme, f"{host}:{parts.port or DEFAULT_PORTS[parts.scheme]}", parts.path.rstrip("/")


def _limit_headers(decision: Decision) -> dict[str, str]:
    """Return what is left of the hour: of the subscription's limit, or else of the API's; empty values without a limit.

    The reset is the end of the hour, in seconds since 1970.
    """
    facts = decision.facts
    limit = facts and (facts.ceiling if facts.rate_limit is None else facts.rate_limit)
    if facts is None or limit is None:
        return dict.fromkeys(("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"), "")
    calls = decision.calls_this_hour if facts.rate_limit is not None else facts.api_calls + decision.used
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining(limit, calls)),
        "X-RateLimit-Reset": str(int(facts.hour_ends_at.timestamp())),
    }


def _deprecation_headers(facts: Facts) -> dict[str, str]:
    """Return the headers of a deprecated API: Deprecation (RFC 9745 §2) and Sunset (RFC 8594 §3)."""
    headers = {}
    if facts.deprecated_at:
        headers["Deprecation"] = f"@{int(facts.deprecated_at.timestamp())}"
    if facts.sunset_at:
        headers["Sunset"] = http_date(facts.sunset_at.timestamp())
    return headers
