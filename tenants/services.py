"""Use cases of a tenant: create, activate, change, suspend, resume and delete it. Every write goes through here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, NotFound, WrongState
from stoa_cp.eventlog.emit import emit
from stoa_cp.jobs.enqueue import enqueue_on_commit
from tenants.event_types import TenantEvent
from tenants.models import Tenant, TenantStatus

# By name: the task is a door, and a service imports none. It is in tenants/tasks.py.
SET_UP_TASK = "tenants.set_up_tenant"


class TenantNotInState(WrongState):
    """The tenant is not in the status from which this step is possible."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(_("The tenant is %(status)s.") % {"status": tenant.get_status_display().lower()})


class NameQuarantined(DomainError):
    """A tenant of this name was deleted not long ago."""

    detail_code = "name_quarantined"
    message = _("A tenant of this name was deleted, and the name cannot be used again before %(date)s.")

    def __init__(self, free_at: datetime) -> None:
        super().__init__(self.message % {"date": free_at.date().isoformat()}, field="name")


@dataclass(frozen=True, slots=True)
class NewTenant:
    """The fields of a tenant to be created."""

    name: str
    tier: str
    admin_email: str
    region: str
    rate_limit_multiplier: float = 1.0
    rate_limit_per_hour: int | None = None


@transaction.atomic
def create_tenant(new: NewTenant, *, by: Actor) -> Tenant:
    """Create a tenant in status ``provisioning``. After the commit a background task sets it up.

    Raises Duplicate if a live tenant has the name, NameQuarantined if a tenant had it within the last
    STOA_NAME_QUARANTINE_DAYS.
    """
    tenant = Tenant(
        name=new.name,
        tier=new.tier,
        admin_email=new.admin_email,
        region=new.region,
        rate_limit_multiplier=new.rate_limit_multiplier,
        rate_limit_per_hour=new.rate_limit_per_hour,
    )
    # No query asks for the name first: between it and the INSERT another request could take the name. The partial
    # unique index decides, and its violation becomes the refusal.
    with translate_violations(
        {"tenant_name_unique": Duplicate(_("A tenant of this name exists already."), field="name")}
    ):
        tenant.save(force_insert=True)
    # After the INSERT, which waits for a deletion of the name's tenant that is under way: a query before it would not
    # find that deletion.
    _check_not_quarantined(tenant)
    emit(TenantEvent.CREATED, tenant_id=tenant.id, actor=by, data=snapshot(tenant))
    enqueue_on_commit(SET_UP_TASK, tenant.id)
    return tenant


@transaction.atomic
def activate_tenant(tenant: Tenant, *, by: Actor) -> Tenant:
    """Make a tenant active, at the end of its set-up. Raises TenantNotInState unless it is provisioning."""
    tenant = lock_tenant(tenant)
    if tenant.status != TenantStatus.PROVISIONING:
        raise TenantNotInState(tenant)
    tenant.status = TenantStatus.ACTIVE
    tenant.save()
    emit(TenantEvent.ACTIVATED, tenant_id=tenant.id, actor=by, data=snapshot(tenant))
    return tenant


@transaction.atomic
def update_tenant(tenant: Tenant, fields: Mapping[str, Any], *, by: Actor) -> Tenant:
    """Change the given fields. No change writes nothing: no version, no event."""
    tenant = lock_tenant(tenant)
    changes = apply_changes(tenant, fields)
    if changes:
        tenant.save()
        emit(TenantEvent.UPDATED, tenant_id=tenant.id, actor=by, data=snapshot(tenant), changes=changes)
    return tenant


@transaction.atomic
def suspend_tenant(tenant: Tenant, reason: str, *, by: Actor) -> Tenant:
    """Refuse all calls to the tenant's APIs from this commit on. Raises TenantNotInState unless it is active."""
    tenant = lock_tenant(tenant)
    if tenant.status != TenantStatus.ACTIVE:
        raise TenantNotInState(tenant)
    tenant.status, tenant.status_reason = TenantStatus.SUSPENDED, reason
    tenant.save()
    emit(TenantEvent.SUSPENDED, tenant_id=tenant.id, actor=by, data=snapshot(tenant))
    return tenant


@transaction.atomic
def resume_tenant(tenant: Tenant, *, by: Actor) -> Tenant:
    """Let calls to the tenant's APIs pass again. Raises TenantNotInState unless it is suspended."""
    tenant = lock_tenant(tenant)
    if tenant.status != TenantStatus.SUSPENDED:
        raise TenantNotInState(tenant)
    tenant.status, tenant.status_reason = TenantStatus.ACTIVE, ""
    tenant.save()
    emit(TenantEvent.RESUMED, tenant_id=tenant.id, actor=by, data=snapshot(tenant))
    return tenant


@transaction.atomic
def delete_tenant(tenant: Tenant, *, by: Actor) -> None:
    """Delete a tenant with everything in it, from this commit on. Raises NotFound if it is deleted already.

    The row stays, for the event log and the metrics.
    """
    # No cascade: every query and every decision reaches the rows inside through this one. One UPDATE takes as long for
    # a tenant with a million keys as for an empty one.
    tenant = lock_tenant(tenant)
    tenant.status, tenant.deleted_at = TenantStatus.DELETED, timezone.now()
    tenant.save()
    emit(TenantEvent.DELETED, tenant_id=tenant.id, actor=by, data=snapshot(tenant))


def lock_tenant(tenant: Tenant) -> Tenant:
    """Lock a live tenant until the end of the transaction, and return its row as it is now. Raises NotFound.

    A service that creates something in the tenant calls this first. While a deletion of the tenant is under way, the
    service waits here and is then refused, so that nothing is created in a deleted tenant.
    """
    # The tenant comes first in the order of locks (tenant, API, subscription, key, webhook, event chain): with one
    # order for all, two transactions cannot wait for each other.
    # NO KEY UPDATE in all of these locks: the check of a foreign key takes KEY SHARE on the row that it refers to.
    # FOR UPDATE would block it, e.g. in a gateway's decision that opens a meter of the tenant.
    locked = Tenant.objects.live().select_for_update(no_key=True).filter(pk=tenant.pk).first()
    if locked is None:
        raise NotFound
    return locked


def _check_not_quarantined(tenant: Tenant) -> None:
    """Tokens may name their tenant by its name, and outlive it. They must not open another tenant of the same name."""
    quarantine = timedelta(days=settings.STOA_NAME_QUARANTINE_DAYS)
    recent = Tenant.objects.filter(name=tenant.name, deleted_at__gt=Now() - quarantine)
    if last_deleted_at := recent.aggregate(last=Max("deleted_at"))["last"]:
        raise NameQuarantined(last_deleted_at + quarantine)


def snapshot(tenant: Tenant) -> dict[str, Any]:
    """Return the tenant as events show it, in JSON types.

    It holds what the answer to a GET holds, as it was at that moment, and the version, by which receivers order events.
    """
    return {
        "id": tenant.id,
        "name": tenant.name,
        "tier": tenant.tier,
        "status": tenant.status,
        "status_reason": tenant.status_reason,
        "admin_email": tenant.admin_email,
        "region": tenant.region,
        "settings": {
            "rate_limit_multiplier": tenant.rate_limit_multiplier,
            "rate_limit_per_hour": tenant.rate_limit_per_hour,
        },
        "gateway_url": tenant.gateway_url,
        "created_at": as_json(tenant.created_at),
        "version": tenant.version,
    }
