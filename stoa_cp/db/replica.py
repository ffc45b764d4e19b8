"""Chooses the database for reports: the replica, or the primary while the replica is away."""

from dataclasses import dataclass
from time import monotonic

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections

logger = structlog.get_logger(__name__)

# How long the primary answers before the replica is tried again. A replica that does not answer at all costs the
# time-out of a connection, 3 s, once in this time for each process.
RETRY_SECONDS = 10.0


@dataclass(slots=True)
class _Replica:
    """Until when this process reads from the primary (monotonic seconds)."""

    away_until: float = 0.0


_replica = _Replica()


def reporting_database() -> str:
    """Return the alias of the database that metrics are read from: that of STOA_METRICS_DATABASE, if it answers.

    A replica that breaks off during the request makes one 503. The next request finds out here, and goes on.
    """
    alias: str = settings.STOA_METRICS_DATABASE
    if alias == DEFAULT_DB_ALIAS or monotonic() < _replica.away_until:
        return DEFAULT_DB_ALIAS
    try:
        # A statement in the first call of a request, nothing in the others: Django's own check of kept connections.
        connections[alias].close_if_health_check_failed()
        connections[alias].ensure_connection()
    except (OperationalError, InterfaceError) as error:
        _replica.away_until = monotonic() + RETRY_SECONDS
        logger.warning("replica_away", error=str(error))
        return DEFAULT_DB_ALIAS
    return alias
