"""The prepared way to a tenant finds what Django's own does."""

import pytest
from django.utils import timezone

from tenants.models import Tenant, TenantStatus
from tenants.queries import live_tenant
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db


def columns(tenant: Tenant) -> dict[str, object]:
    return {field.attname: getattr(tenant, field.attname) for field in Tenant._meta.concrete_fields}


def test_every_column_is_as_django_reads_it() -> None:
    made = TenantFactory(rate_limit_multiplier=1.5, rate_limit_per_hour=7, status_reason="é")
    tenant = Tenant.objects.get(pk=made.pk)
    for named in (tenant.id, tenant.name):
        found = live_tenant(named)
        assert found
        assert columns(found) == columns(tenant)


def test_a_tenant_that_is_deleted_or_unknown_is_none() -> None:
    tenant = TenantFactory(status=TenantStatus.DELETED, deleted_at=timezone.now())
    assert live_tenant(tenant.id) is None
    assert live_tenant("nobody") is None
