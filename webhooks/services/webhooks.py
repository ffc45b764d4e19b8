"""The life of a webhook: registered, changed, tested, disabled, deleted. Every write of its owner goes through here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stoa_cp.crypto.credentials import new_signing_secret
from stoa_cp.crypto.encryption import encrypt
from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, NotFound, WrongState
from stoa_cp.domain.issued import Issued
from stoa_cp.eventlog.emit import emit
from stoa_cp.jobs.enqueue import enqueue_on_commit
from tenants.models import Tenant
from tenants.services import lock_tenant
from webhooks.delivery.fan_out import DELIVER_TASK
from webhooks.delivery.payloads import build_body
from webhooks.delivery.queue import resume_deliveries
from webhooks.delivery.signing import format_secret, is_weak, mask_secret, parse_secret
from webhooks.event_types import WebhookEvent
from webhooks.models import Delivery, DeliveryStatus, Replay, Webhook, WebhookStatus

# Each of them may receive every event of the tenant, so this bounds the deliveries that one event becomes.
MAX_WEBHOOKS_PER_TENANT = 20
# A day, so that a team can deploy the new secret during working hours.
DEFAULT_OVERLAP_SECONDS = 86_400
# The previous secret may be known to others: that may be why it is rotated. So it does not stay valid without an end.
MAX_OVERLAP_SECONDS = 30 * 86_400


class TooManyWebhooks(DomainError):
    """The tenant has the maximum number of webhooks."""

    detail_code = "limit_reached"
    message = _("A tenant has at most 20 webhooks; delete one first.")


class WebhookDisabled(WrongState):
    """Nothing is sent to a disabled webhook."""

    message = _("The webhook is disabled; enable it first.")


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """The fields of a new webhook. Without a ``secret``, one is generated."""

    url: str
    events: Sequence[str]
    description: str = ""
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """The parameters of a rotation. Without a ``secret``, one is generated; the present one signs for the overlap."""

    secret: str | None = None
    overlap_seconds: int = DEFAULT_OVERLAP_SECONDS


@transaction.atomic
def register_webhook(tenant: Tenant, new: NewWebhook, *, by: Actor) -> Issued[Webhook]:
    """Deliver events to a URL from now on; the secret that signs them is shown as ``secret``.

    The caller has checked the URL, because ``targets.check_url`` may take 2 s: too long for a transaction.
    Raises TooManyWebhooks.
    """
    # Of several registrations at once, each would count the same webhooks, and together they would exceed the limit.
    tenant = lock_tenant(tenant)
    if Webhook.objects.registered().filter(tenant=tenant).count() >= MAX_WEBHOOKS_PER_TENANT:
        raise TooManyWebhooks
    webhook = Webhook(tenant=tenant, url=new.url, events=list(new.events), description=new.description)
    secret = _set_secret(webhook, new.secret)
    webhook.save(force_insert=True)
    emit(WebhookEvent.CREATED, tenant_id=tenant.id, actor=by, data=snapshot(webhook))
    return Issued(webhook, {"secret": secret})


@transaction.atomic
def update_webhook(webhook: Webhook, fields: Mapping[str, Any], *, by: Actor) -> Webhook:
    """Change the given fields. If nothing changes, nothing is written. Enabling resumes the pending deliveries."""
    webhook = lock_webhook(webhook)
    changes = apply_changes(webhook, fields)
    if not changes:
        return webhook
    is_disabled_now = "status" in changes and webhook.status == WebhookStatus.DISABLED
    if "status" in changes:
        webhook.disabled_reason = _("Disabled by %s.") % by.id if is_disabled_now else ""
        # Enabled again, it starts afresh. Otherwise its first failure would disable it once more.
        webhook.failing_since, webhook.failure_count = None, 0
    webhook.save()
    if "status" in changes and not is_disabled_now:
        resume_deliveries(webhook)
    event = WebhookEvent.DISABLED if is_disabled_now else WebhookEvent.UPDATED
    emit(event, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook), changes=changes)
    enqueue_on_commit(DELIVER_TASK)
    return webhook


@transaction.atomic
def disable_webhook(webhook: Webhook, reason: str, *, by: Actor) -> Webhook:
    """Send nothing more until the webhook is enabled; its deliveries stay pending. Disabling twice has no effect."""
    webhook = lock_webhook(webhook)
    if webhook.status == WebhookStatus.ENABLED:
        webhook.status, webhook.disabled_reason = WebhookStatus.DISABLED, reason
        webhook.save()
        changes = {"status": [WebhookStatus.ENABLED, WebhookStatus.DISABLED]}
        emit(WebhookEvent.DISABLED, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook), changes=changes)
    return webhook


@transaction.atomic
def rotate_secret(webhook: Webhook, rotation: Rotation, *, by: Actor) -> Issued[Webhook]:
    """Sign with a new secret, shown as ``secret``, and for a while with the present one too.

    Rotating again during an overlap drops the oldest secret: a signature header has two signatures at most.
    """
    webhook = lock_webhook(webhook)
    if rotation.overlap_seconds:
        webhook.previous_secret = webhook.secret
        # The database's clock: the claim compares with it, and decides whether the previous secret still signs.
        webhook.previous_secret_valid_until = Now() + timedelta(seconds=rotation.overlap_seconds)
    else:
        webhook.previous_secret = webhook.previous_secret_valid_until = None
    secret = _set_secret(webhook, rotation.secret)
    webhook.save()
    webhook.refresh_from_db(fields=["previous_secret_valid_until"])
    emit(WebhookEvent.SECRET_ROTATED, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook))
    return Issued(webhook, {"secret": secret})


@transaction.atomic
def delete_webhook(webhook: Webhook, *, by: Actor) -> None:
    """Delete a webhook. Its pending deliveries fail without another attempt, and its replay ends."""
    webhook = lock_webhook(webhook)
    webhook.deleted_at = timezone.now()
    webhook.save()
    Replay.objects.filter(webhook=webhook).delete()
    # A delivery under a lease is being sent. Its worker settles it, and if it fails, no worker claims it again.
    webhook.deliveries.pending().not_leased().update(status=DeliveryStatus.FAILED, next_attempt_at=None, token=None)
    emit(WebhookEvent.DELETED, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook))


@transaction.atomic
def send_test(webhook: Webhook, *, by: Actor) -> Delivery:
    """Deliver a ``webhook.test`` event to this webhook, even if it does not subscribe to it. Raises WebhookDisabled."""
    webhook = lock_webhook(webhook)
    if webhook.status == WebhookStatus.DISABLED:
        raise WebhookDisabled
    # The delivery is written here. The fan-out leaves tests out, or every webhook that subscribes to "*" would get
    # them.
    event = emit(WebhookEvent.TEST, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook))
    delivery = Delivery(tenant_id=webhook.tenant_id, webhook=webhook, event=event, body=build_body(event))
    delivery.save(force_insert=True)
    enqueue_on_commit(DELIVER_TASK)
    return delivery


def lock_webhook(webhook: Webhook) -> Webhook:
    """Lock a live webhook until the end of the transaction. Raises NotFound."""
    # NO KEY UPDATE: a new delivery takes a share lock on its webhook's key, and need not wait for this one.
    locked = Webhook.objects.live().select_for_update(no_key=True).filter(pk=webhook.pk).first()
    if locked is None:
        raise NotFound
    return locked


def snapshot(webhook: Webhook) -> dict[str, Any]:
    """Return the webhook as events show it: JSON types, no secret."""
    return {
        "id": webhook.id,
        "subscription_id": webhook.subscription_id,
        "url": webhook.url,
        "events": webhook.events,
        "description": webhook.description,
        "status": webhook.status,
        "disabled_reason": webhook.disabled_reason,
        "created_at": as_json(webhook.created_at),
        "version": webhook.version,
    }


def _set_secret(webhook: Webhook, secret: str | None) -> str:
    """Set the given secret, or a new one, and return its text. Encrypted, not hashed: signing needs the key itself."""
    key = parse_secret(secret or new_signing_secret())
    text = format_secret(key)
    webhook.secret, webhook.secret_hint, webhook.secret_is_weak = encrypt(text), mask_secret(key), is_weak(key)
    return text
