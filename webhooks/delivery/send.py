"""Sends one leased delivery, and decides what its answer means. No database here: this runs in many threads."""

from datetime import datetime
from functools import lru_cache

from django.utils import timezone

from stoa_cp.crypto.encryption import decrypt
from webhooks.delivery.client import Answer, Client
from webhooks.delivery.queue import Lease, Outcome
from webhooks.delivery.retries import seconds_until_next
from webhooks.delivery.signing import decode_secret, sign
from webhooks.models import DeliveryStatus

USER_AGENT = "STOA-Webhooks/1"


def send(client: Client, lease: Lease) -> Outcome:
    """Make one attempt, signed with the current secret and, during a rotation, with the previous one too."""
    at = timezone.now()
    answer = client.post(lease.url, _headers(lease, at), lease.body.encode())
    status, delay_seconds = _judge(lease, answer)
    return Outcome(
        lease=lease,
        status=status,
        delay_seconds=delay_seconds,
        started_at=at,
        duration_ms=answer.duration_ms,
        answer=answer.status,
        error=answer.failure,
        excerpt=answer.excerpt,
    )


def _headers(lease: Lease, at: datetime) -> dict[str, str]:
    keys = [_key_of(ciphertext) for ciphertext in lease.secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": lease.event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sign(keys, lease.event_id, at, lease.body),
    }


@lru_cache(maxsize=1024)
def _key_of(ciphertext: bytes) -> bytes:
    """Open a secret once for a burst of deliveries: opening it costs a sixth of sending."""
    return decode_secret(decrypt(ciphertext))


def _judge(lease: Lease, answer: Answer) -> tuple[DeliveryStatus, float | None]:
    if not answer.failure:
        return DeliveryStatus.DELIVERED, None
    attempts_made = lease.attempt - lease.attempts_before
    delay_seconds = seconds_until_next(attempts_made, answer.status, answer.retry_after)
    return DeliveryStatus.FAILED if delay_seconds is None else DeliveryStatus.PENDING, delay_seconds
