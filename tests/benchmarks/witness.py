"""Looks, beside the load that is measured, whether limits are exact and revocations hold at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from django.db import connection

from apikeys.models import ApiKey
from apikeys.services.keys import NewKey, issue_key
from apikeys.services.revocations import revoke_key
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.issued import Issued
from tests.apikeys.processes import WebProcess
from tests.factories import SubscriptionFactory

CONNECTIONS = 8  # enough to reach each process of a server
QUOTA = 100  # a limit of the hour would be another's where the hour ends in between


@dataclass(slots=True)
class Findings:
    """How many quotas were used up, and keys revoked, and how often it went wrong."""

    quotas: int = 0
    inexact: int = 0
    revocations: int = 0
    late: int = 0


@contextmanager
def witnessing(server: WebProcess, findings: Findings) -> Iterator[None]:
    """Use quotas up and revoke warm keys, one after the other, for the length of the block."""
    is_over = Event()
    callers = [server.twin() for _connection in range(CONNECTIONS)]

    def witness() -> None:
        while not is_over.is_set():
            _use_up_a_quota(callers, findings)
            _revoke_a_key(callers, findings)
        connection.close()

    with ThreadPoolExecutor(1) as thread:
        watch = thread.submit(witness)
        try:
            yield
        finally:
            is_over.set()
    for caller in callers:
        caller.close()
    watch.result()  # raises what went wrong


def _use_up_a_quota(callers: list[WebProcess], findings: Findings) -> None:
    secret = _new_key(QUOTA).secret
    answers = [caller.verify(secret) for _call in range(2 * QUOTA // CONNECTIONS) for caller in callers]
    findings.quotas += 1
    findings.inexact += answers.count("valid") != QUOTA or answers.count("quota_exceeded") != QUOTA


def _revoke_a_key(callers: list[WebProcess], findings: Findings) -> None:
    issued = _new_key()
    key, secret = issued.resource, issued.secret
    warm = [caller.verify(secret) for _call in range(3) for caller in callers]
    revoke_key(key, by=SYSTEM)
    late = [caller.verify(secret) for caller in callers]
    findings.revocations += 1
    findings.late += set(warm) != {"valid"} or set(late) != {"key_revoked"}


def _new_key(quota: int | None = None) -> Issued[ApiKey]:
    subscription = SubscriptionFactory(active=True, rate_limit=None, quota=quota)
    return issue_key(subscription, NewKey(), by=SYSTEM)
