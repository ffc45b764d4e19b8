"""Decides whether a call may pass: the one function behind forward-auth, verify and explain."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest

import structlog
from django.db import OperationalError
from django.db.models import Q
from django.db.models.functions import Now

from apikeys.decisions import meters
from apikeys.decisions.cache import CacheKey, decision_cache
from apikeys.decisions.checks import CHECKS, LIMITS
from apikeys.decisions.reasons import Reason
from apikeys.decisions.statement import LAST_USED_RESOLUTION_SECONDS, DecisionParameters, Facts, run
from apikeys.decisions.token_leases import recall_tokens
from apikeys.models import KeySecret
from apikeys.services import PREFIXES
from catalog.routes import cached_path, load_path
from catalog.routing import RequestTarget
from stoa_cp.crypto.credentials import digests, is_well_formed

logger = structlog.get_logger(__name__)

OUR_PREFIX = "stoa_"
MODES = tuple(PREFIXES.values())
LIMIT_REASONS = (Reason.RATE_LIMITED, Reason.QUOTA_EXCEEDED)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: who (a key, or nobody), and where to (a target, an API's id, or wherever the key leads).

    ``cost`` is how many calls it counts as; 0 only looks, and passes where one call would.
    """

    key: str | None
    target: RequestTarget | None = None
    api_id: str | None = None
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the call may pass (``reason`` None), and what is known of it: nothing, if it was not looked up.

    ``used`` is what was used of the limits since the facts were read, by this call and others of its block; 0 if it
    was refused.
    """

    reason: Reason | None
    facts: Facts | None = None
    used: int = 0

    @property
    def is_allowed(self) -> bool:
        return self.reason is None

    @property
    def calls_this_hour(self) -> int:
        return self.used + self.facts.hour_calls if self.facts else 0

    @property
    def calls_this_month(self) -> int:
        return self.used + self.facts.month_calls if self.facts else 0

    @property
    def retry_at(self) -> datetime | None:
        """When a call that was one too many may be tried again."""
        if self.facts is None or self.reason not in LIMIT_REASONS:
            return None
        return self.facts.hour_ends_at if self.reason == Reason.RATE_LIMITED else self.facts.month_ends_at


def decide(call: Call) -> Decision:
    """Decide on a call, and count it if it passes. A malformed key costs no query, any other one statement at most.

    Twice a minute at most there is more to do: the first call of a meter opens it, the first of a minute is noted at
    the secret, and one that reaches 80 or 100 % of the quota announces that.
    """
    if call.key is not None and not is_well_formed(call.key, *MODES):
        return Decision(Reason.KEY_MALFORMED)
    known = digests(call.key) if call.key else []
    return _decide_from_cache(call, known) or _decide_from_database(call, known)


def cached_decision(call: Call) -> Decision | None:
    """Let a call pass that is counted already, without asking the database; None if that must be asked."""
    return _decide_from_cache(call, digests(call.key) if call.key else [])


def _decide_from_cache(call: Call, known: list[bytes]) -> Decision | None:
    path = cached_path(call.target) if call.target else None
    if not call.cost or (call.target and path is None):
        return None
    repeated = decision_cache.get(_cache_key(call, known, path), call.cost)
    if repeated is None:
        return None
    facts, made = repeated
    return Decision(None, facts, made if facts.is_metered else 0)


def _cache_key(call: Call, known: list[bytes], path: str | None) -> CacheKey:
    return tuple(known), call.target.tenant if call.target else None, path, call.api_id


def _decide_from_database(call: Call, known: list[bytes]) -> Decision:
    facts = _look_up(call, known)
    if facts is not None and facts.has_leases and reason_of(facts) in LIMIT_REASONS:
        recall_tokens(facts.subjects)
        facts = _look_up(call, known)
    if facts is None:
        return Decision(Reason.ROUTE_UNKNOWN if call.target else Reason.KEY_UNKNOWN)
    if facts.digest is not None and not any(compare_digest(facts.digest, digest) for digest in known):
        return Decision(Reason.KEY_UNKNOWN)
    reason = reason_of(facts)
    used = call.cost if reason is None and facts.is_metered else 0
    decision = Decision(reason, facts, used)
    if call.cost:
        _record_usage(decision)
    return decision


def _look_up(call: Call, known: list[bytes]) -> Facts | None:
    """Ask, and remember what lets the call pass, with as many more as are granted."""
    parameters = DecisionParameters(known, call.cost, call.cost, api_id=call.api_id)
    if call.target:
        parameters = parameters._replace(tenant=call.target.tenant, prefixes=call.target.prefixes)
    if not call.cost:
        return run(parameters)
    path = load_path(call.target) if call.target else None
    with decision_cache.loading(_cache_key(call, known, path), call.cost) as lookup:
        facts = _run_with_meters(
            parameters._replace(tokens_wanted=lookup.tokens_wanted, token_share=lookup.token_share)
        )
        if facts is not None and reason_of(facts) is None and (not call.target or facts.api_path == path):
            lookup.facts = facts
    return facts


def _run_with_meters(parameters: DecisionParameters) -> Facts | None:
    facts = run(parameters)
    if facts is not None and facts.is_meter_missing:
        meters.open_meters(facts.tenant_id, [facts.subscription_id, facts.api_id if facts.ceiling else None])
        facts = run(parameters)
    return facts


def reason_of(facts: Facts) -> Reason | None:
    """Return why the first check that failed refuses the call. Limits are asked where the checks have passed."""
    for check, is_passed in zip(CHECKS + LIMITS, facts.checks + facts.limits, strict=True):
        if not is_passed:
            return check.reason
    return None


def _record_usage(decision: Decision) -> None:
    """Write down what a call brings along; a database that has no time for it does not change the decision."""
    try:
        facts = decision.facts
        if decision.is_allowed and facts and facts.secret_id and facts.is_use_unrecorded:
            record_use(facts.secret_id)
        if facts and facts.quota is not None and facts.is_metered and _has_news(decision, facts, facts.quota):
            meters.announce_quota(str(facts.subscription_id))
    except OperationalError:
        logger.warning("key_use_not_recorded", exc_info=True)


def _has_news(decision: Decision, facts: Facts, quota: int) -> bool:
    return meters.percent_to_announce(decision.calls_this_month, quota) > facts.announced_percent


def record_use(secret_id: int) -> None:
    """Set ``last_used_at``; of many calls in the same instant the first writes, and the others find it done."""
    is_due = Q(last_used_at=None) | Q(last_used_at__lte=Now() - timedelta(seconds=LAST_USED_RESOLUTION_SECONDS))
    KeySecret.objects.filter(is_due, pk=secret_id).update(last_used_at=Now())
