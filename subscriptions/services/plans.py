"""Use cases of a plan: create, change and delete it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stoa_cp.db.bounds import check_below
from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, NotFound
from stoa_cp.eventlog.emit import emit
from subscriptions.event_types import PlanEvent
from subscriptions.models import Approval, Plan, Subscription
from tenants.models import Tenant
from tenants.services import lock_tenant

# A refusal of an unknown plan names all there are, so their number is bounded. People choose among a handful.
MAX_PLANS_PER_TENANT = 100
DUPLICATES = {"plan_slug_unique": Duplicate(_("A plan of this slug exists already."), field="slug")}
# What a plan grants. Its name grants nothing: after a colleague's correction of it, the author is still the author.
GRANTED = frozenset({"rate_limit", "quota", "approval"})


@dataclass(frozen=True, slots=True)
class NewPlan:
    """The fields of a plan to be created. A limit of None is no limit."""

    slug: str
    name: str
    rate_limit: int | None = None
    quota: int | None = None
    approval: str = Approval.MANUAL


class PlanInUse(DomainError):
    """The plan has live subscriptions, which would name a plan that is gone."""

    detail_code = "in_use"

    def __init__(self, subscriptions: int) -> None:
        super().__init__(_("%(count)d live subscriptions use this plan.") % {"count": subscriptions})


@transaction.atomic
def create_plan(tenant: Tenant, new: NewPlan, *, by: Actor) -> Plan:
    """Create a plan, which can be chosen from this commit on.

    Raises Duplicate if a live one has its slug, LimitReached.
    """
    tenant = lock_tenant(tenant)
    check_below(MAX_PLANS_PER_TENANT, tenant.plans.live())
    plan = Plan(
        tenant=tenant,
        slug=new.slug,
        name=new.name,
        rate_limit=new.rate_limit,
        quota=new.quota,
        approval=new.approval,
        terms_set_by=by.id,
    )
    with translate_violations(DUPLICATES):
        plan.save(force_insert=True)
    emit(PlanEvent.CREATED, tenant_id=tenant.id, actor=by, data=snapshot(plan))
    return plan


@transaction.atomic
def update_plan(plan: Plan, fields: Mapping[str, Any], *, by: Actor) -> Plan:
    """Change the plan for later approvals; approved subscriptions keep their terms. No change writes nothing."""
    plan = _lock_plan(plan)
    changes = apply_changes(plan, fields)
    if changes:
        if GRANTED & changes.keys():
            plan.terms_set_by = by.id
        plan.save()
        emit(PlanEvent.UPDATED, tenant_id=plan.tenant_id, actor=by, data=snapshot(plan), changes=changes)
    return plan


@transaction.atomic
def delete_plan(plan: Plan, *, by: Actor) -> None:
    """Delete a plan; its slug is free again. Raises PlanInUse while live subscriptions are under it."""
    plan = _lock_plan(plan)
    in_use = Subscription.objects.live().filter(plan=plan).count()
    if in_use:
        raise PlanInUse(in_use)
    plan.deleted_at = timezone.now()
    plan.save()
    emit(PlanEvent.DELETED, tenant_id=plan.tenant_id, actor=by, data=snapshot(plan))


def _lock_plan(plan: Plan) -> Plan:
    """Lock the plan's tenant until the end of the transaction, and return the plan as it is now. Raises NotFound."""
    # The tenant's lock covers its plans: a request for a subscription takes it too, so that no subscription under this
    # plan appears between the check and the change. Plans change rarely, hence no finer lock.
    lock_tenant(plan.tenant)
    current: Plan | None = Plan.objects.live().filter(id=plan.id).first()
    if current is None:
        raise NotFound
    return current


def snapshot(plan: Plan) -> dict[str, Any]:
    """Return the plan as events show it, in JSON types."""
    return {
        "id": plan.id,
        "tenant_id": plan.tenant_id,
        "slug": plan.slug,
        "name": plan.name,
        "rate_limit": plan.rate_limit,
        "quota": plan.quota,
        "approval": plan.approval,
        "created_at": as_json(plan.created_at),
        "version": plan.version,
    }
