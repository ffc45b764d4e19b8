"""Which tenants a caller may see."""

import re
from functools import cache

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q

from stoa_cp.db.ids import is_id
from stoa_cp.db.prepared import fetch_one
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import NotFound
from tenants.models import NAME_PATTERN, Tenant, TenantQuerySet, TenantStatus


def visible_tenants(actor: Actor) -> TenantQuerySet:
    """Return the live tenants that the actor belongs to; all of them for the platform."""
    tenants: TenantQuerySet = Tenant.objects.live()
    if actor.is_platform:
        return tenants
    return tenants.filter(Q(id__in=actor.tenants) | Q(name__in=actor.tenants))


def live_tenant(id_or_name: str) -> Tenant | None:
    """Return the live tenant whose id or name this is, or None. None of its columns is one that Django converts."""
    row = fetch_one(_live_tenant_statement(), {"name": id_or_name})
    return None if row is None else Tenant.from_db(DEFAULT_DB_ALIAS, _columns(), row)


@cache
def _live_tenant_statement() -> str:
    """Return what Django asks for it. Nearly every call asks this, and making the SQL takes longer than its answer."""
    sql, _names = Tenant.objects.live().named("").order_by().query.sql_with_params()
    return sql.replace("%s", "%(name)s")


@cache
def _columns() -> list[str]:
    return [field.attname for field in Tenant._meta.concrete_fields]  # noqa: SLF001 - Django documents `_meta`


def find_tenant(actor: Actor, id_or_name: str, *, known: Tenant | None = None) -> Tenant:
    """Return a live tenant that the actor may know of. Raises NotFound for every other, in the same way.

    ``known`` is one that was read for the same request: it is not asked for twice.
    """
    if not (is_id(id_or_name, "ten") or re.fullmatch(NAME_PATTERN, id_or_name, re.ASCII)):
        raise NotFound
    if known is not None and id_or_name in (known.id, known.name):
        tenant: Tenant | None = known
    else:
        tenant = live_tenant(id_or_name)
    # The membership is looked at after the query, so that a stranger's answer takes as long as an unknown id's.
    if tenant is None or not (actor.is_platform or {tenant.id, tenant.name} & set(actor.tenants)):
        raise NotFound
    return tenant


def waiting_tenants() -> list[str]:
    """Return the ids of up to 100 tenants that have not been set up yet, oldest first."""
    waiting = Tenant.objects.live().filter(status=TenantStatus.PROVISIONING).order_by("created_at", "id")
    return list(waiting.values_list("id", flat=True)[:100])
