"""Decides on a call and counts it: the one function behind forward-auth and keys/verify."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest

import structlog
from django.db import OperationalError
from django.db.models import Q
from django.db.models.functions import Now

from apikeys.decisions import meters
from apikeys.decisions.cache import CacheKey, decision_cache
from apikeys.decisions.call import Call
from apikeys.decisions.checks import CHECKS, LIMITS
from apikeys.decisions.monitoring import CACHE, DATABASE, REQUEST
from apikeys.decisions.reasons import Reason
from apikeys.decisions.statement import LAST_USED_RESOLUTION_SECONDS, DecisionParameters, Facts, run
from apikeys.decisions.token_leases import recall_tokens
from apikeys.models import KeySecret, Mode
from apikeys.services.keys import PREFIXES
from catalog.routes import cached_path, load_path
from stoa_cp.crypto.credentials import is_well_formed, pepper_fingerprints

logger = structlog.get_logger(__name__)

KEY_PREFIX = "stoa_"
MODE_PREFIXES = tuple(PREFIXES.values())
LIMIT_REASONS = (Reason.RATE_LIMITED, Reason.QUOTA_EXCEEDED)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the call may pass (``reason`` is None), with the facts if it was looked up.

    ``used`` is how many calls passed on these facts, with this one; 0 if it was refused. ``source`` is what decided.
    """

    reason: Reason | None
    facts: Facts | None = None
    used: int = 0
    source: str = REQUEST

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
        """When a call that is over a limit may be tried again; None for other decisions."""
        if self.facts is None or self.reason not in LIMIT_REASONS:
            return None
        return self.facts.hour_ends_at if self.reason == Reason.RATE_LIMITED else self.facts.month_ends_at


def decide(call: Call) -> Decision:
    """Decide on a call, and count it if it passes.

    1. A malformed key is refused. That takes no query: random strings must not load the database.
    2. The cache lets the call pass if it has a token for it. No query either.
    3. Else one statement checks the call, counts it, and may lease tokens for the next calls.
    4. If it found no meter, which happens once for each subscription and each API with a limit, the meter is created
       and the statement runs again.
    5. If it found a limit used up, but other processes may have unused tokens, they return them and it runs again.
    6. At most once a minute, the use of the key is recorded, with its digest under the newest pepper; and a quota that
       is used to 80 or 100 % is announced.
    """
    if call.key is not None and not is_well_formed(call.key, *MODE_PREFIXES):
        return Decision(Reason.KEY_MALFORMED)
    return cached_decision(call) or _decide_from_database(call)


def cached_decision(call: Call) -> Decision | None:
    """Let a call pass with a token of this process, without a query. Return None if the database has to decide."""
    path = cached_path(call.target) if call.target else None
    if not call.cost or (call.target and path is None):
        return None
    cached = decision_cache.get(_cache_key(call, path), call)
    if cached is None:
        return None
    facts, calls = cached
    return Decision(None, facts, calls, CACHE)


def _cache_key(call: Call, path: str | None) -> CacheKey:
    return tuple(call.key_digests), call.target.tenant if call.target else None, path, call.api_id


def _decide_from_database(call: Call) -> Decision:
    facts = _load(call)
    if facts is not None and facts.has_leases and reason_of(facts) in LIMIT_REASONS:
        recall_tokens(facts.subjects)
        facts = _load(call)
    if facts is None:
        return Decision(Reason.ROUTE_UNKNOWN if call.target else Reason.KEY_UNKNOWN, source=DATABASE)
    # Defence in depth: the index has found the digest, byte by byte; this comparison takes constant time.
    if facts.digest is not None and not any(compare_digest(facts.digest, digest) for digest in call.key_digests):
        return Decision(Reason.KEY_UNKNOWN, source=DATABASE)
    reason = reason_of(facts)
    decision = Decision(reason, facts, call.cost if reason is None else 0, DATABASE)
    if call.cost:
        _record_usage(call, decision)
    return decision


def _load(call: Call) -> Facts | None:
    """Run the statement; cache the facts and the leased tokens if the call passes."""
    parameters = parameters_of(call)
    if not call.cost:
        return run(parameters)
    path = load_path(call.target) if call.target else None
    with decision_cache.loading(_cache_key(call, path), call.cost) as lookup:
        facts = _run_with_meters(
            parameters._replace(tokens_wanted=lookup.tokens_wanted, token_share=lookup.token_share)
        )
        # The paths may have changed after ``load_path``: then the facts are of another API than the cache key says.
        if facts is not None and reason_of(facts) is None and (not call.target or facts.api_path == path):
            lookup.facts = facts
    return facts


def parameters_of(call: Call) -> DecisionParameters:
    """Return the parameters of a statement about a call, which leases no tokens."""
    address, target = call.read_address(), call.target
    parameters = DecisionParameters(
        call.key_digests,
        call.methods,
        call.follows_upstream,
        call.cost,
        call.cost,
        api_id=call.api_id,
        address=None if address is None else str(address),
        tenants=None if call.tenants is None else list(call.tenants),
    )
    if target is None:
        return parameters
    return parameters._replace(tenant=target.tenant, prefixes=target.prefixes, path=target.path)


def _run_with_meters(parameters: DecisionParameters) -> Facts | None:
    facts = run(parameters)
    if facts is not None and facts.is_meter_missing:
        meters.open_meters(facts.tenant_id, [facts.meter, facts.api_id if facts.ceiling else None])
        facts = run(parameters)
    return facts


def reason_of(facts: Facts) -> Reason | None:
    """Return the reason of the first check or limit that failed; None if the call passes."""
    for check, is_passed in zip(CHECKS + LIMITS, facts.checks + facts.limits, strict=True):
        if not is_passed:
            return check.reason
    return None


def _record_usage(call: Call, decision: Decision) -> None:
    """Record the use of the key, and announce a quota that is used to 80 or 100 %.

    Also after a refusal: a crash may have come between an earlier call and its announcement.
    """
    try:
        facts = decision.facts
        if decision.is_allowed and facts and facts.secret_id and facts.digest and facts.is_use_unrecorded:
            record_use(facts.secret_id, facts.digest, call.key_digests[0])
        # Of live keys only: who tests a quota knows that it ends.
        if facts and facts.quota is not None and facts.mode == Mode.LIVE and _is_news(decision, facts, facts.quota):
            meters.announce_quota(str(facts.subscription_id))
    except OperationalError:
        # A lock that was waited for too long, for one. The call is decided and counted; a later one records this.
        logger.warning("key_use_not_recorded", exc_info=True)


def _is_news(decision: Decision, facts: Facts, quota: int) -> bool:
    return meters.percent_to_announce(decision.calls_this_month, quota) > facts.announced_percent


def record_use(secret_id: int, digest: bytes, newest_digest: bytes) -> None:
    """Set ``last_used_at``, if it is due. A secret that was found by an older pepper gets its newest digest with it.

    So a pepper that is replaced is needed less with each key that is used, until it can be removed.
    """
    # Asked once more: of many calls at the same moment, which all found it due, only the first writes.
    is_due = Q(last_used_at=None) | Q(last_used_at__lte=Now() - timedelta(seconds=LAST_USED_RESOLUTION_SECONDS))
    # Only where it is still the digest that was found: the fingerprint is the one of this digest.
    use = KeySecret.objects.filter(is_due, pk=secret_id, digest=digest)
    pepper = pepper_fingerprints()[0]
    if digest == newest_digest:
        use.update(last_used_at=Now(), pepper=pepper)
    else:
        # Not always: setting the digest notifies the caches and writes to its index, also if it stays as it is. Cached
        # decisions stay right meanwhile: their cache keys are the digests under all peppers.
        use.update(last_used_at=Now(), pepper=pepper, digest=newest_digest)
