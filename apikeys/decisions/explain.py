"""Explains a decision to people, check by check. Counts nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apikeys.decisions.call import Call
from apikeys.decisions.checks import CHECKS, LIMITS
from apikeys.decisions.decide import parameters_of, reason_of
from apikeys.decisions.reasons import Reason, sentence_of
from apikeys.decisions.statement import Facts, run
from apikeys.models import KeySecret
from apikeys.services.keys import PREFIXES
from catalog.routing import read_target
from stoa_cp.crypto.credentials import digests, is_well_formed
from stoa_cp.domain.errors import InvalidField
from stoa_cp.net.client_address import Address
from tenants.models import Tenant

# For a key that the tenant does not have: a digest that no key has. An empty list would mean a call without a key.
UNKNOWN_DIGESTS = [b""]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check; ``detail`` says what to do if it failed."""

    check: str
    passed: bool
    detail: str | Promise = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision that a call would get, and the result of every check."""

    reason: Reason | None
    checks: list[CheckResult]

    @property
    def decision(self) -> str:
        return "deny" if self.reason else "allow"


@dataclass(frozen=True, slots=True)
class Question:
    """The call to explain: with a key, with the current secret of a key's id, or without a key."""

    path: str
    method: str = ""
    address: Address | None = None
    key: str | None = field(default=None, repr=False)  # a secret
    key_id: str | None = None


def explain(tenant: Tenant, question: Question) -> Explanation:
    """Explain the decision on a call.

    A key or a path of another tenant is unknown here, as it must not be found out to exist. Raises InvalidField for an
    unknown ``key_id``.
    """
    target = read_target(question.path)
    if target is None or target.tenant != tenant.name:
        return _stopped("route", Reason.ROUTE_UNKNOWN)
    if question.key and not is_well_formed(question.key, *PREFIXES.values()):
        return _stopped("key_well_formed", Reason.KEY_MALFORMED)
    call = Call(question.key, target, cost=0, method=question.method, read_address=lambda: question.address)
    facts = run(parameters_of(call)._replace(digests=_digests_of(tenant, question.key, question.key_id)))
    if facts is None:
        return _stopped("route", Reason.ROUTE_UNKNOWN)
    return Explanation(reason_of(facts), list(_results(facts)))


def _stopped(check: str, reason: Reason) -> Explanation:
    """Return an explanation that ends at a failed check, before any row was read."""
    return Explanation(reason, [CheckResult(check, passed=False, detail=sentence_of(reason))])


def _digests_of(tenant: Tenant, key: str | None, key_id: str | None) -> list[bytes]:
    secrets = KeySecret.objects.filter(key__tenant=tenant).values_list("digest", flat=True)
    if key_id:
        current = secrets.filter(key=key_id, valid_until=None).first()
        if current is None:
            raise InvalidField("key_id", _("There is no such API key."))
        return [bytes(current)]
    if key:
        own = secrets.filter(digest__in=digests(key)).first()
        return UNKNOWN_DIGESTS if own is None else [bytes(own)]
    return []


def _results(facts: Facts) -> Iterator[CheckResult]:
    yield CheckResult("route", passed=True, detail=facts.api_path)
    checked = list(zip(CHECKS, facts.checks, strict=True))
    # After a failed check the statement does not read the meters, so the limits are unknown.
    if all(facts.checks):
        checked += zip(LIMITS, facts.limits, strict=True)
    for check, is_passed in checked:
        yield CheckResult(check.name, passed=is_passed, detail="" if is_passed else sentence_of(check.reason))
