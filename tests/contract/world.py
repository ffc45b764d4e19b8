"""A tenant with one of everything, to try every operation on."""

from subscriptions.models import SubscriptionStatus
from tests.factories import ApiFactory, ApiKeyFactory, GatewayFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.webhooks.factories import DeliveryFactory, WebhookFactory


def build_world(name: str = "acme") -> dict[str, str]:
    """Make the rows and return the ids that stand in paths."""
    tenant = TenantFactory(name=name)
    api = ApiFactory(tenant=tenant, name="payments", path="/payments")
    plan = PlanFactory(tenant=tenant, slug="standard")
    active = SubscriptionFactory(tenant=tenant, api=api, plan=plan, active=True)
    ApiFactory(tenant=tenant, name="status", path="/status", auth_required=False)
    webhook = WebhookFactory(tenant=tenant)
    return {
        "tenant_id": tenant.id,
        "path": f"/{name}/status",
        "api_id": api.id,
        "plan_id": PlanFactory(tenant=tenant).id,
        "subscription_id": SubscriptionFactory(tenant=tenant, api=api, plan=plan).id,
        "active_subscription_id": active.id,
        "suspended_subscription_id": SubscriptionFactory(
            tenant=tenant, api=api, plan=plan, active=True, status=SubscriptionStatus.SUSPENDED
        ).id,
        "key_id": ApiKeyFactory(subscription=active).id,
        "gateway_id": GatewayFactory().id,
        "webhook_id": webhook.id,
        "delivery_id": DeliveryFactory(webhook=webhook).id,
    }
