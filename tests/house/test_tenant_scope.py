import pytest

from tests.house.source import SourceFile
from tests.house.tenant_scope import tenant_owned_models, unscoped_reads

MODELS = """
class Plan(models.Model):
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)

class Attempt(models.Model):
    delivery = models.ForeignKey("Delivery", on_delete=models.CASCADE)

class Delivery(models.Model):
    webhook = models.ForeignKey("webhooks.Webhook", on_delete=models.CASCADE)

class Webhook(models.Model):
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.PROTECT)

class Event(models.Model):
    tenant_id = models.CharField()

class Minute(Plan):
    pass

class Gateway(models.Model):
    name = models.CharField()
    batch = models.ForeignKey("Batch")
"""
OWNED = {"Tenant", "Plan", "Attempt", "Delivery", "Webhook", "Event", "Minute"}


def test_models_that_lead_to_a_tenant_are_owned() -> None:
    assert tenant_owned_models(iter([SourceFile("webhooks/models.py", MODELS)])) == OWNED


def lines(source: str) -> list[int]:
    return [finding.line for finding in unscoped_reads(SourceFile("webhooks/views.py", source), OWNED)]


@pytest.mark.parametrize(
    "source",
    [
        "Plan.objects.live().filter(tenant=self.tenant)",
        "Plan.objects.filter(tenant=self.tenant, id=plan_id).first()",
        "Plan.objects.select_related('x').filter(Q(a=1) | Q(b=2), tenant=self.tenant).order_by('id')",
        "Event.objects.filter(tenant_id=self.tenant.id)",
        "Delivery.objects.filter(webhook__tenant=self.tenant)",
        "Attempt.objects.get(delivery__webhook__tenant_id=self.tenant.pk, pk=pk)",
        "get_object_or_404(Plan.objects.live(), tenant=self.tenant, id=plan_id)",
        "get_object_or_404(Plan, tenant=self.tenant, id=plan_id)",
        "self.tenant.plans.live()",
        "webhook.deliveries.select_related('event')",
        "Gateway.objects.live()",
        "isinstance(row, Plan)",
        "class PlanSerializer(ModelSerializer):\n    class Meta:\n        model = Plan",
        "services.create_plan(Plan, tenant=self.tenant)",
    ],
)
def test_scoped_reads_pass(source: str) -> None:
    assert lines(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "Plan.objects.get(id=plan_id)",
        "Plan.objects.all()",
        "queryset = Plan.objects.all()",
        "Tenant.objects.get(name=name)",
        "Plan.objects.filter(tenant=tenant_id)",  # what the client wrote
        "Plan.objects.filter(tenant_id=tenant_id)",
        "Plan.objects.filter(tenant_id=self.kwargs['tenant_id'])",
        "Plan.objects.exclude(tenant=self.tenant)",
        "Plan.objects.filter(Q(tenant=self.tenant) | Q(id=plan_id))",
        "Plan.objects.order_by('id').update(tenant=self.tenant)",
        "Plan._default_manager.get(pk=pk)",
        "get_object_or_404(Plan, id=plan_id)",
        "get_object_or_404(Plan.objects.live(), id=plan_id)",
        "Webhook.objects.filter(id__in=Plan.objects.filter(tenant=self.tenant))",
        "PrimaryKeyRelatedField(queryset=Plan.objects.all())",
        "services.change(Plan.objects.first(), tenant=self.tenant)",
    ],
)
def test_unscoped_reads_are_found(source: str) -> None:
    assert lines(source) == [1]
