"""The plans that a tenant offers: three to begin with, then its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, NotFound
from stoa_cp.eventlog.emit import emit
from subscriptions.event_types import PlanEvent
from subscriptions.models import Approval, Plan, Subscription
from tenants.models import Tenant
from tenants.services import lock_tenant

DUPLICATES = {"plan_slug_unique": Duplicate(_("A plan of this slug exists already."), field="slug")}


@dataclass(frozen=True, slots=True)
class NewPlan:
    """What a tenant says about a plan to be; null limits are none."""

    slug: str
    name: str
    rate_limit: int | None = None
    quota: int | None = None
    approval: str = Approval.MANUAL


class PlanInUse(DomainError):
    """Live subscriptions stand under the plan."""

    detail_code = "in_use"

    def __init__(self, subscriptions: int) -> None:
        super().__init__(_("%(count)d live subscriptions use this plan.") % {"count": subscriptions})


@transaction.atomic
def create_plan(tenant: Tenant, new: NewPlan, *, by: Actor) -> Plan:
    """Offer a plan. Raises Duplicate if a live one has its slug."""
    tenant = lock_tenant(tenant)
    plan = Plan(
        tenant=tenant,
        slug=new.slug,
        name=new.name,
        rate_limit=new.rate_limit,
        quota=new.quota,
        approval=new.approval,
    )
    with translate_violations(DUPLICATES):
        plan.save(force_insert=True)
    emit(PlanEvent.CREATED, tenant_id=tenant.id, actor=by, data=snapshot(plan))
    return plan


@transaction.atomic
def update_plan(plan: Plan, fields: Mapping[str, Any], *, by: Actor) -> Plan:
    """Change what the plan offers from now on; subscriptions keep the terms that they were approved with."""
    plan = _lock_plan(plan)
    changes = apply_changes(plan, fields)
    if changes:
        plan.save()
        emit(PlanEvent.UPDATED, tenant_id=plan.tenant_id, actor=by, data=snapshot(plan), changes=changes)
    return plan


@transaction.atomic
def delete_plan(plan: Plan, *, by: Actor) -> None:
    """Withdraw a plan. Raises PlanInUse while live subscriptions stand under it."""
    plan = _lock_plan(plan)
    in_use = Subscription.objects.live().filter(plan=plan).count()
    if in_use:
        raise PlanInUse(in_use)
    plan.deleted_at = timezone.now()
    plan.save()
    emit(PlanEvent.DELETED, tenant_id=plan.tenant_id, actor=by, data=snapshot(plan))


def _lock_plan(plan: Plan) -> Plan:
    """Lock a live plan with its tenant, so that nobody subscribes under it meanwhile. Raises NotFound."""
    lock_tenant(plan.tenant)
    current: Plan | None = Plan.objects.live().filter(id=plan.id).first()
    if current is None:
        raise NotFound
    return current


def snapshot(plan: Plan) -> dict[str, Any]:
    """Return the plan as events show it."""
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
