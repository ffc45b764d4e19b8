"""Makes one attempt to send a leased delivery, and decides what happens next. It runs in many threads.

It uses no database: a thread would need a connection of its own, held for as long as the receiver takes.
"""

from contextlib import AbstractContextManager
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from stoa_cp.crypto.encryption import decrypt
from stoa_cp.tracing.spans import Kind, Span, current_traceparent, span
from webhooks.delivery.client import PostResult, WebhookClient
from webhooks.delivery.queue import DeliveryLease, Outcome
from webhooks.delivery.retries import seconds_until_next
from webhooks.delivery.signing import decode_secret, sign
from webhooks.models import DeliveryStatus

USER_AGENT = "STOA-Webhooks/1"


def send(client: WebhookClient, lease: DeliveryLease) -> Outcome:
    """Make one attempt, signed with the current secret and, during a rotation, with the previous one too."""
    # This process's clock, not the database's: the receiver compares the timestamp with its own clock, to within
    # minutes.
    started_at = timezone.now()
    with _span(lease) as current:
        result = client.post(lease.url, _headers(lease, started_at), lease.body.encode())
        if result.status is not None:
            current.note({"http.response.status_code": result.status})
        if result.failure:
            current.note({"error.type": result.failure})
            current.fail(result.failure)
    status, delay_seconds = _decide_next(lease, result)
    return Outcome(
        lease=lease,
        status=status,
        delay_seconds=delay_seconds,
        started_at=started_at,
        duration_ms=result.duration_ms,
        response_status=result.status,
        error=result.failure,
        excerpt=result.excerpt,
    )


def _span(lease: DeliveryLease) -> AbstractContextManager[Span]:
    """Return the span of an attempt, a child of the work that made the event: the sweep that sends it knows nothing."""
    attributes: dict[str, str | int] = {
        "http.request.method": "POST",
        # Not the URL: its path and its query may hold secrets.
        "server.address": urlsplit(lease.url).hostname or "",
        "stoa.event_id": lease.event_id,
        "stoa.webhook_id": lease.webhook_id,
        "stoa.delivery_id": lease.delivery_id,
        "stoa.attempt": lease.attempt,
    }
    return span("deliver", Kind.CLIENT, parent=lease.traceparent, attributes=attributes)


def _headers(lease: DeliveryLease, sent_at: datetime) -> dict[str, str]:
    keys = [_signing_key(ciphertext) for ciphertext in lease.secrets]
    traceparent = current_traceparent() if settings.STOA_TRACE_WEBHOOKS else ""
    return ({"traceparent": traceparent} if traceparent else {}) | {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        # The event's id: the same on every attempt and replay, so that receivers can recognise duplicates.
        "webhook-id": lease.event_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": sign(keys, lease.event_id, sent_at, lease.body),
    }


# Decrypting takes a sixth of the time of a whole delivery, and a burst uses the same few secrets.
@lru_cache(maxsize=1024)
def _signing_key(ciphertext: bytes) -> bytes:
    return decode_secret(decrypt(ciphertext))


def _decide_next(lease: DeliveryLease, result: PostResult) -> tuple[DeliveryStatus, float | None]:
    """Return the delivery's status after the attempt, and the seconds until the next attempt."""
    if not result.failure:
        return DeliveryStatus.DELIVERED, None
    # A redelivery begins the schedule anew, while the attempts keep their numbers.
    attempts_made = lease.attempt - lease.attempts_before
    delay_seconds = seconds_until_next(attempts_made, result.status, result.retry_after)
    return DeliveryStatus.FAILED if delay_seconds is None else DeliveryStatus.PENDING, delay_seconds
