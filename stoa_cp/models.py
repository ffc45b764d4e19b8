"""Imports the models of the kernel packages: Django looks for an app's models in this module only."""

from stoa_cp.caching.models import CacheLease
from stoa_cp.eventlog.models import ActorName, Event, EventChain, EventCheckpoint, OutboxEntry
from stoa_cp.identity.models import SigningKeySet
from stoa_cp.observability.models import WorkerMetric
from stoa_cp.operators.models import OperatorSession
from stoa_cp.ratelimit.models import Counter
from stoa_cp.rest.models import IdempotencyRecord

__all__ = [
    "ActorName",
    "CacheLease",
    "Counter",
    "Event",
    "EventChain",
    "EventCheckpoint",
    "IdempotencyRecord",
    "OperatorSession",
    "OutboxEntry",
    "SigningKeySet",
    "WorkerMetric",
]
