"""Rows for tests, valid by default."""

from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from apikeys.models import ApiKey, KeySecret
from apikeys.services.keys import shown_start
from catalog.models import Api, Gateway
from stoa_cp.crypto.credentials import digest, new_credential, pepper_fingerprints
from subscriptions.models import Plan, Subscription, SubscriptionStatus
from tenants.models import Tenant, TenantStatus


class TenantFactory(DjangoModelFactory[Tenant]):
    """An active tenant; it has its plans only if it was set up."""

    class Meta:
        model = Tenant

    name = factory.Sequence(lambda number: f"tenant-{number}")
    tier = "business"
    status = TenantStatus.ACTIVE
    admin_email = "admin@example.com"
    region = "us-east-1"


class PlanFactory(DjangoModelFactory[Plan]):
    """A plan that an operator approves."""

    class Meta:
        model = Plan

    tenant = factory.SubFactory(TenantFactory)
    slug = factory.Sequence(lambda number: f"plan-{number}")
    name = "Plan"
    rate_limit = 1_000
    quota = 50_000


class ApiFactory(DjangoModelFactory[Api]):
    """An active API."""

    class Meta:
        model = Api

    tenant = factory.SubFactory(TenantFactory)
    name = factory.Sequence(lambda number: f"api-{number}")
    path = factory.LazyAttribute(lambda api: f"/{api.name}")
    upstream_url = "https://upstream.example.com"


class SubscriptionFactory(DjangoModelFactory[Subscription]):
    """A subscription that waits for its approval, under its plan's terms."""

    class Meta:
        model = Subscription

    tenant = factory.SubFactory(TenantFactory)
    api = factory.SubFactory(ApiFactory, tenant=factory.SelfAttribute("..tenant"))
    plan = factory.SubFactory(PlanFactory, tenant=factory.SelfAttribute("..tenant"))
    application = factory.Sequence(lambda number: f"application-{number}")
    rate_limit = factory.SelfAttribute("plan.rate_limit")
    quota = factory.SelfAttribute("plan.quota")
    created_by = "dave"

    class Params:
        active = factory.Trait(
            status=SubscriptionStatus.ACTIVE,
            rate_limit=1_000,
            quota=50_000,
            decided_by="alice",
            decided_at=factory.LazyFunction(timezone.now),
        )


class ApiKeyFactory(DjangoModelFactory[ApiKey]):
    """A key of an active subscription; ``secret`` is what its application holds."""

    class Meta:
        model = ApiKey
        exclude = ["secret"]
        skip_postgeneration_save = True

    secret = factory.LazyFunction(lambda: new_credential("stoa_live_"))
    subscription = factory.SubFactory(SubscriptionFactory, active=True)
    tenant = factory.SelfAttribute("subscription.tenant")
    name = "Default"
    start = factory.LazyAttribute(lambda key: shown_start(key.secret))

    @factory.post_generation
    def current_secret(self: Any, create: bool, extracted: str | None, **_kwargs: Any) -> None:  # noqa: FBT001 - factory-boy's signature
        secret = extracted or new_credential("stoa_live_")
        KeySecret.objects.create(key=self, digest=digest(secret), pepper=pepper_fingerprints()[0])


class GatewayFactory(DjangoModelFactory[Gateway]):
    """A gateway; ``token`` is what it presents."""

    class Meta:
        model = Gateway
        exclude = ["token"]

    token = factory.LazyFunction(lambda: new_credential("stoa_gtw_"))
    name = factory.Sequence(lambda number: f"edge-{number}")
    token_digest = factory.LazyAttribute(lambda gateway: digest(gateway.token))
    token_pepper = factory.LazyFunction(lambda: pepper_fingerprints()[0])
