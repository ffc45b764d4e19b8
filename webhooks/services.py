"""The life of a webhook: registered, changed, tried out, disabled, deleted. Every write goes through here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
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
from webhooks.delivery.payloads import body_of
from webhooks.delivery.signing import format_secret, is_weak, mask_secret, parse_secret
from webhooks.event_types import WebhookEvent
from webhooks.models import Delivery, DeliveryStatus, Webhook, WebhookStatus

MAX_WEBHOOKS_PER_TENANT = 20
DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * 86_400


class TooManyWebhooks(DomainError):
    """The tenant has as many webhooks as it may have."""

    detail_code = "limit_reached"
    message = _("A tenant has at most 20 webhooks; delete one first.")


class WebhookDisabled(WrongState):
    """Nothing is sent to a disabled webhook."""

    message = _("The webhook is disabled; enable it first.")


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """What a tenant says about a webhook to be. Without a secret it is given one."""

    url: str
    events: Sequence[str]
    description: str = ""
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is asked of a rotation: a secret of the client's choice, and how long the present one signs as well."""

    secret: str | None = None
    overlap_seconds: int = DEFAULT_OVERLAP_SECONDS


@transaction.atomic
def register_webhook(tenant: Tenant, new: NewWebhook, *, by: Actor) -> Issued[Webhook]:
    """Deliver events to a URL from now on; the secret that signs them is shown as ``secret``.

    The URL has been checked by ``targets.check_url``, which takes too long for a transaction.
    Raises TooManyWebhooks.
    """
    tenant = lock_tenant(tenant.id)
    if Webhook.objects.registered().filter(tenant=tenant).count() >= MAX_WEBHOOKS_PER_TENANT:
        raise TooManyWebhooks
    webhook = Webhook(tenant=tenant, url=new.url, events=list(new.events), description=new.description)
    secret = _give_secret(webhook, new.secret)
    webhook.save(force_insert=True)
    emit(WebhookEvent.CREATED, tenant_id=tenant.id, actor=by, data=snapshot(webhook))
    return Issued(webhook, {"secret": secret})


@transaction.atomic
def update_webhook(webhook: Webhook, fields: Mapping[str, Any], *, by: Actor) -> Webhook:
    """Change the given fields. What changes nothing writes nothing. Enabling resumes what is pending."""
    webhook = lock_webhook(webhook)
    changes = apply_changes(webhook, fields)
    if not changes:
        return webhook
    is_end = "status" in changes and webhook.status == WebhookStatus.DISABLED
    if "status" in changes:
        webhook.disabled_reason = _("Disabled by %s.") % by.id if is_end else ""
        webhook.failing_since, webhook.failure_count = None, 0
    webhook.save()
    event = WebhookEvent.DISABLED if is_end else WebhookEvent.UPDATED
    emit(event, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook), changes=changes)
    enqueue_on_commit(DELIVER_TASK)
    return webhook


@transaction.atomic
def disable_webhook(webhook: Webhook, reason: str, *, by: Actor) -> Webhook:
    """Send nothing more until somebody enables it; deliveries stay pending. Disabling twice is once."""
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

    Rotating again during an overlap retires the older secret: a signature header holds two at most.
    """
    webhook = lock_webhook(webhook)
    if rotation.overlap_seconds:
        webhook.previous_secret = webhook.secret
        webhook.previous_secret_valid_until = timezone.now() + timedelta(seconds=rotation.overlap_seconds)
    else:
        webhook.previous_secret = webhook.previous_secret_valid_until = None
    secret = _give_secret(webhook, rotation.secret)
    webhook.save()
    emit(WebhookEvent.SECRET_ROTATED, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook))
    return Issued(webhook, {"secret": secret})


@transaction.atomic
def delete_webhook(webhook: Webhook, *, by: Actor) -> None:
    """Delete a webhook; what is pending will not be sent."""
    webhook = lock_webhook(webhook)
    webhook.deleted_at = timezone.now()
    webhook.save()
    waiting = webhook.deliveries.pending().not_leased()
    waiting.update(status=DeliveryStatus.FAILED, next_attempt_at=None, token=None)
    emit(WebhookEvent.DELETED, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook))


@transaction.atomic
def send_test(webhook: Webhook, *, by: Actor) -> Delivery:
    """Deliver a ``webhook.test`` event to this webhook, whatever it subscribed to. Raises WebhookDisabled."""
    webhook = lock_webhook(webhook)
    if webhook.status == WebhookStatus.DISABLED:
        raise WebhookDisabled
    event = emit(WebhookEvent.TEST, tenant_id=webhook.tenant_id, actor=by, data=snapshot(webhook))
    delivery = Delivery(tenant_id=webhook.tenant_id, webhook=webhook, event=event, body=body_of(event))
    delivery.save(force_insert=True)
    enqueue_on_commit(DELIVER_TASK)
    return delivery


def lock_webhook(webhook: Webhook) -> Webhook:
    """Lock a live webhook until the end of the transaction. Raises NotFound."""
    # NO KEY: new deliveries refer to the row meanwhile.
    locked = Webhook.objects.live().select_for_update(no_key=True).filter(pk=webhook.pk).first()
    if locked is None:
        raise NotFound
    return locked


def snapshot(webhook: Webhook) -> dict[str, Any]:
    """Return the webhook as events show it."""
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


def _give_secret(webhook: Webhook, secret: str | None) -> str:
    key = parse_secret(secret or new_signing_secret())
    spelled = format_secret(key)
    webhook.secret, webhook.secret_hint, webhook.secret_is_weak = encrypt(spelled), mask_secret(key), is_weak(key)
    return spelled
