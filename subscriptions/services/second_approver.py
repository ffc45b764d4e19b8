"""The rule of the second approver: access is loosened by another person than the one who asked for it.

It holds under STOA_REQUIRE_SECOND_APPROVER. Persons are compared by their actor's id, which is their token's subject.
Two kinds of actors prove no person, and so neither ask nor decide: a command, which takes any name from its caller, and
an operator with a password, because each operator may make a second user with a password.
"""

from datetime import datetime
from typing import TypeVar

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.actors import SYSTEM, Actor, is_reserved
from stoa_cp.domain.errors import DomainError, ErrorCode
from subscriptions.models import Approval, Subscription

Term = TypeVar("Term", int, datetime)

NO_PERSON = _("A command or a password proves no person: sign in at the identity provider.")
REQUESTER_UNKNOWN = _("No person has asked for this subscription: end it, and ask again over REST.")


class SecondApproverRequired(DomainError):
    """STOA_REQUIRE_SECOND_APPROVER is on, and the actor is not, or not provably, another person than the requester."""

    code = ErrorCode.FORBIDDEN
    detail_code = "second_approver_required"
    message = _("A person other than the requester must decide on this subscription.")


def check_requester(by: Actor) -> None:
    """Check that a person asks for access: a later approver is compared with it. Raises SecondApproverRequired."""
    if settings.STOA_REQUIRE_SECOND_APPROVER and is_reserved(by.id):
        raise SecondApproverRequired(NO_PERSON)


def check_decider(subscription: Subscription, by: Actor) -> None:
    """Check that ``by`` may loosen a locked subscription's access. Raises SecondApproverRequired."""
    # The system acts for a plan with automatic approval, whose author ``is_approved_by_plan`` has compared.
    if not settings.STOA_REQUIRE_SECOND_APPROVER or by == SYSTEM:
        return
    if is_reserved(by.id):
        raise SecondApproverRequired(NO_PERSON)
    if is_reserved(subscription.created_by):  # stored before the rule was turned on
        raise SecondApproverRequired(REQUESTER_UNKNOWN)
    if by.id == subscription.created_by:
        raise SecondApproverRequired


def is_approved_by_plan(subscription: Subscription) -> bool:
    """Tell whether the plan approves the request: it is automatic, and the requester has not set its terms."""
    plan = subscription.plan
    if plan.approval != Approval.AUTOMATIC:
        return False
    # An unknown author ("") may be the requester.
    is_by_another = plan.terms_set_by not in ("", subscription.created_by)
    return is_by_another or not settings.STOA_REQUIRE_SECOND_APPROVER


def is_looser(before: Term | None, after: Term | None) -> bool:
    """Tell whether a term is looser than before: a higher limit, a later end. None is no limit, or no end."""
    if before is None or after is None:
        return before is not None and after is None
    return after > before
