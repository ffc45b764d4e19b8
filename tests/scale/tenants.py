"""Tenants with a plan each."""

from subscriptions.models import Plan
from tenants.models import Tenant, TenantStatus, Tier
from tests.scale.copying import copy
from tests.scale.sizes import Sizes
from tests.scale.values import id_of, moment_of


def tenant_id(number: int) -> str:
    return id_of("ten", number)


def tenant_name(number: int) -> str:
    return f"scale-{number}"


def load(sizes: Sizes) -> None:
    numbers = range(sizes.tenants)
    columns = ("id", "name", "tier", "status", "admin_email", "region", "created_at", "updated_at")
    fixed = (Tier.ENTERPRISE, TenantStatus.ACTIVE, "admin@example.com", "eu-west-1")
    rows = ((tenant_id(number), tenant_name(number), *fixed, *_made(number, sizes)) for number in numbers)
    copy(Tenant, columns, rows, sizes.tenants)
    columns = ("id", "tenant_id", "slug", "name", "rate_limit", "quota", "created_at", "updated_at")
    terms = ("standard", "Standard", 1_000, 50_000)
    plans = ((plan_id(number), tenant_id(number), *terms, *_made(number, sizes)) for number in numbers)
    copy(Plan, columns, plans, sizes.tenants)


def plan_id(tenant: int) -> str:
    return id_of("pln", tenant)


def _made(number: int, sizes: Sizes) -> tuple[object, object]:
    moment = moment_of(number, sizes.tenants)
    return moment, moment
