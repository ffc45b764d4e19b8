"""Reports attempts to those who run the service: counts for Prometheus, and a line of the log for each."""

from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog

from stoa_cp.observability.worker_metrics import Counted, worker_metrics
from webhooks.delivery.queue import Outcome

logger = structlog.get_logger(__name__)


def report_attempts(outcomes: Iterable[Outcome]) -> None:
    """Count each attempt under its result, and log it."""
    for outcome in outcomes:
        lease, result = outcome.lease, outcome.error or "delivered"
        worker_metrics.add(Counted.ATTEMPTS, result)
        logger.info(
            "delivery_attempted",
            delivery_id=lease.delivery_id,
            webhook_id=lease.webhook_id,
            event_id=lease.event_id,
            # Not the URL: paths and queries of receivers hold secrets, and a user name in front of the host may be one.
            host=urlsplit(lease.url).hostname,
            attempt=lease.attempt,
            result=result,
            status=outcome.response_status,
            duration_ms=outcome.duration_ms,
        )


def report_crash(error: BaseException) -> None:
    """Report an attempt that failed on our side, such as by a lost encryption key."""
    worker_metrics.add(Counted.ATTEMPTS, "crashed")
    logger.error("delivery_crashed", exc_info=error)
