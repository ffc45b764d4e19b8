"""The use case with which a subscription begins: an application asks for an API under a plan."""

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from catalog.models import Api
from catalog.services.apis import lock_api
from stoa_cp.db.bounds import check_below
from stoa_cp.db.constraints import Duplicate, translate_violations
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import InvalidField, NotFound
from stoa_cp.domain.issued import Issued
from stoa_cp.eventlog.emit import emit
from subscriptions.event_types import SubscriptionEvent
from subscriptions.models import LIVE_STATUSES, Plan, Subscription
from subscriptions.services.provisioning import set_up_tenant
from subscriptions.services.second_approver import check_requester
from subscriptions.services.subscriptions import ensure_callback_secret, snapshot
from tenants.models import Tenant
from tenants.services import lock_tenant


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """The fields of a request. ``plan`` is a slug; events of this subscription are sent to ``callback_url``."""

    api_id: str
    plan: str
    application: str
    callback_url: str | None = None


@transaction.atomic
def request_subscription(tenant: Tenant, new: NewSubscription, *, by: Actor) -> Issued[Subscription]:
    """Create a subscription that waits for approval, with a copy of its plan's terms.

    If it has a callback URL, the secret that signs callbacks is shown as ``callback_secret``.
    Raises InvalidField for an unknown API or plan, Duplicate while the application has a live subscription to the API,
    LimitReached, SecondApproverRequired if STOA_REQUIRE_SECOND_APPROVER is on and ``by`` is no person.
    """
    check_requester(by)
    tenant = lock_tenant(tenant)
    api = _lock_api(tenant, new.api_id)
    check_below(settings.STOA_MAX_SUBSCRIPTIONS_PER_TENANT, tenant.subscriptions.filter(status__in=LIVE_STATUSES))
    set_up_tenant(tenant)  # the background task may not have run yet, and the plans are needed now
    plan = _find_plan(tenant, new.plan)
    subscription = Subscription(
        tenant=tenant,
        api=api,
        plan=plan,
        application=new.application,
        callback_url=new.callback_url,
        # Copied now, not at the approval: the plan may change meanwhile, and its approver would grant unseen terms.
        rate_limit=plan.rate_limit,
        quota=plan.quota,
        created_by=by.id,
    )
    secrets = ensure_callback_secret(subscription)
    duplicate = Duplicate(_("This application has a live subscription to this API already."), field="application")
    # No query asks for a duplicate first: between it and the INSERT another request could store one. The partial unique
    # index decides, and its violation becomes the refusal.
    with translate_violations({"subscription_application_unique": duplicate}):
        subscription.save(force_insert=True)
    emit(SubscriptionEvent.CREATED, tenant_id=tenant.id, actor=by, data=snapshot(subscription))
    return Issued(subscription, secrets)


def _lock_api(tenant: Tenant, api_id: str) -> Api:
    # Locked: a deletion of the API that is under way must not leave a new subscription behind.
    try:
        return lock_api(tenant.apis.get(id=api_id))
    except (Api.DoesNotExist, NotFound) as error:
        raise InvalidField("api_id", _("There is no such API.")) from error


def _find_plan(tenant: Tenant, slug: str) -> Plan:
    # All plans, not the one: the refusal names those that exist.
    plans = {plan.slug: plan for plan in tenant.plans.live().order_by("created_at", "id")}
    if slug not in plans:
        raise InvalidField("plan", _("There is no such plan; there are: %s.") % ", ".join(plans))
    return plans[slug]
