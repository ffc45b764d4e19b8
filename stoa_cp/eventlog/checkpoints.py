"""Checkpoints: the signed head up to which a chain was verified, so that each event is hashed again only once.

A checkpoint lies in the database, whose owner can write it too. So it counts only with a valid signature; without one
it is as if there were none. The owner can put an older one back, which costs time, and hides nothing.
"""

from collections.abc import Callable
from dataclasses import asdict
from time import monotonic

import structlog
from django.utils import timezone

from stoa_cp.crypto.audit_keys import audit_keys, public_keys
from stoa_cp.eventlog.chain import START, Link, chains_after, walk
from stoa_cp.eventlog.heads import SignedHead, UnknownKey, WrongSignature, check_signature, sign
from stoa_cp.eventlog.models import EventChain, EventCheckpoint

logger = structlog.get_logger(__name__)

# Events of one chain at a time (about 4 s): a long chain, at the first run, must not hold up the others.
EVENTS_AT_ONCE = 50_000
# A task must not hold a thread of the worker for long. The next run, an hour later, goes on.
MAX_SECONDS = 300.0


def trusted_checkpoint(tenant_id: str) -> SignedHead | None:
    """Return the checkpoint of a chain, or None if there is none that one of our keys has signed."""
    row = EventCheckpoint.objects.filter(tenant_id=tenant_id).first()
    if row is None:
        return None
    checkpoint = SignedHead(row.tenant_id, row.sequence, bytes(row.hash).hex(), row.at, row.key_id, row.signature)
    try:
        check_signature(checkpoint, public_keys())
    except (UnknownKey, WrongSignature, ValueError) as fault:
        # Also after a key was taken out of the settings: then the next run signs again.
        logger.warning("event_checkpoint_not_trusted", tenant_id=tenant_id, error=type(fault).__name__)
        return None
    return checkpoint


def sign_new_events(*, seconds: float = MAX_SECONDS) -> None:
    """Verify what was appended to each chain since its checkpoint, sign the new head, store and log it.

    The lines ``event_chain_signed`` in the log are signed heads outside the database. A chain that is broken gets no
    new checkpoint, and a line ``event_chain_broken`` at each run. Does nothing without STOA_AUDIT_KEYS.
    """
    if not audit_keys():
        return
    deadline = monotonic() + seconds
    # In turns: every chain gets one portion before the longest gets its second.
    while _take_turn(is_over=lambda: monotonic() > deadline):
        pass


def _take_turn(is_over: Callable[[], bool]) -> bool:
    """Take one portion of each chain. Return whether another turn is needed and there is time for it."""
    after, is_unfinished = "", False
    while chains := list(chains_after(after)[:100]):
        for chain in chains:
            if is_over():
                return False
            is_unfinished |= _sign_next_portion(chain)
        after = chains[-1].tenant_id
    return is_unfinished


def _sign_next_portion(chain: EventChain) -> bool:
    """Verify and sign a portion of a chain. Return whether the chain goes on after it."""
    checkpoint = trusted_checkpoint(chain.tenant_id)
    start = link_of(checkpoint) if checkpoint else START
    head = Link(chain.sequence, bytes(chain.hash))
    if start == head:
        return False
    last = min(head.sequence, start.sequence + EVENTS_AT_ONCE)
    good, broken = walk(chain.tenant_id, start, last, head)
    if broken is not None:
        logger.error("event_chain_broken", tenant_id=chain.tenant_id, sequence=broken)
        return False
    _store(sign(chain.tenant_id, good.sequence, good.hash, timezone.now()))
    return good.sequence < head.sequence


def link_of(head: SignedHead) -> Link:
    """Return the place in the chain that a signed head names."""
    return Link(head.sequence, bytes.fromhex(head.hash))


def _store(head: SignedHead) -> None:
    # Without a lock: of two runs at once one may put an older checkpoint in place, from which the next run goes on.
    row = EventCheckpoint(**(asdict(head) | {"hash": bytes.fromhex(head.hash)}))
    fields = ["sequence", "hash", "at", "key_id", "signature"]
    EventCheckpoint.objects.bulk_create([row], update_conflicts=True, unique_fields=["tenant_id"], update_fields=fields)
    logger.info("event_chain_signed", **asdict(head))
