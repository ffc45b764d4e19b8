"""A decision in JSON: the answer of ``keys/verify``."""

from typing import Any

import msgspec

from apikeys.decisions.decide import Decision
from apikeys.decisions.statement import Facts
from apikeys.decisions.windows import remaining
from stoa_cp.db.changes import as_json


def encode_verification(decision: Decision) -> bytes:
    """Return the answer in JSON; null is what is not known of the key.

    Not by a serializer of the REST framework, which would cost more than the decision: the fast path calls this 20,000
    times a second. ``VerificationSerializer`` describes the same answer to the OpenAPI document.
    """
    return msgspec.json.encode(_verification_of(decision))


def _verification_of(decision: Decision) -> dict[str, Any]:
    facts = decision.facts
    return {
        "valid": decision.is_allowed,
        "code": decision.reason.value if decision.reason else "valid",
        "key_id": facts and facts.key_id,
        "subscription_id": facts and facts.subscription_id,
        "api_id": facts and facts.api_id,
        "tenant_id": facts and facts.tenant_id,
        "application": facts and facts.application,
        "plan": facts and facts.plan,
        "mode": facts and facts.mode,
        "rate_limit": facts and _rate_limit(decision, facts),
        "quota": facts and _quota(decision, facts),
        "expires_at": facts and as_json(facts.expires_at),
        "rotating": bool(facts and facts.is_rotating),
    }


def _rate_limit(decision: Decision, facts: Facts) -> dict[str, Any]:
    return {
        "limit": facts.rate_limit,
        "remaining": remaining(facts.rate_limit, decision.calls_this_hour),
        "reset": int(facts.hour_ends_at.timestamp()),
    }


def _quota(decision: Decision, facts: Facts) -> dict[str, Any]:
    return {
        "limit": facts.quota,
        "used": decision.calls_this_month,
        "remaining": remaining(facts.quota, decision.calls_this_month),
        "resets_at": as_json(facts.month_ends_at),
    }
