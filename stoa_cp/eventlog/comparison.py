"""Compares the event log with signed heads that were kept outside the database.

The chain proves that the log fits itself. A head proves what it was when the head was signed: together they show a log
that was rewritten and hashed again, cut off at its end, or removed.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from django.db import connection

from stoa_cp.crypto.audit_keys import PublicKeys
from stoa_cp.eventlog.heads import (
    NoSignedHead,
    SignedHead,
    UnknownKey,
    WrongSignature,
    check_signature,
    parse_line,
)
from stoa_cp.eventlog.models import Event, EventChain

# Lines whose events one statement reads. A file of years has millions, so it is never in memory as a whole.
LINES_AT_ONCE = 1_000
# A file of another deployment has a fault in each of its lines. The first ones tell all.
MAX_REFUSED_LINES = 100
HASHES = """
SELECT wanted.tenant_id, wanted.sequence, event.hash
FROM unnest(%s::text[], %s::bigint[]) AS wanted (tenant_id, sequence)
LEFT JOIN stoa_cp_event AS event ON event.tenant_id = wanted.tenant_id AND event.sequence = wanted.sequence
"""


@dataclass(slots=True)
class ChainComparison:
    """What the heads of one chain say: the first that the log contradicts, and the last before it that fits."""

    first_contradicted: SignedHead | None = None
    last_fitting: int = 0

    def add(self, head: SignedHead, *, fits: bool) -> None:
        """Take one head into account. Heads after the first contradicted one prove nothing more."""
        if self.first_contradicted and head.sequence >= self.first_contradicted.sequence:
            return
        if fits:
            self.last_fitting = max(self.last_fitting, head.sequence)
        else:
            self.first_contradicted = head
            # Heads are appended in order as a rule. If not, the last one before this is unknown: say less.
            self.last_fitting = self.last_fitting if self.last_fitting < head.sequence else 0


@dataclass(slots=True)
class Comparison:
    """The result of a comparison: how many heads fit, which lines prove nothing, and what each chain's heads say."""

    fitting: int = 0
    refused: int = 0
    refused_lines: list[str] = field(default_factory=list)
    chains: dict[str, ChainComparison] = field(default_factory=dict)

    def refuse(self, sentence: str) -> None:
        """Count a line that is no head of ours; keep the first MAX_REFUSED_LINES sentences."""
        self.refused += 1
        if self.refused <= MAX_REFUSED_LINES:
            self.refused_lines.append(sentence)

    def findings(self) -> Iterator[str]:
        """Yield a sentence for each fault: of lines, then of chains."""
        yield from self.refused_lines
        if self.refused > MAX_REFUSED_LINES:
            yield f"{self.refused - MAX_REFUSED_LINES} more lines are no heads of ours."
        for tenant_id, chain in sorted(self.chains.items()):
            if chain.first_contradicted:
                yield _describe(tenant_id, chain.first_contradicted, chain.last_fitting)


def compare(lines: Iterable[str], keys: PublicKeys, *, tenant_ids: Collection[str] = ()) -> Comparison:
    """Compare the log with the signed heads in ``lines``; with ``tenant_ids``, only with theirs.

    The chains themselves must have been verified: a head is compared with the hash that is stored in its event.
    """
    result = Comparison()
    heads = _verified(lines, keys, result)
    wanted = (head for head in heads if not tenant_ids or head.tenant_id in tenant_ids)
    while portion := list(islice(wanted, LINES_AT_ONCE)):
        stored = _stored_hashes(portion)
        for head in portion:
            fits = stored[head.tenant_id, head.sequence] == head.hash
            result.fitting += fits
            result.chains.setdefault(head.tenant_id, ChainComparison()).add(head, fits=fits)
    return result


def _verified(lines: Iterable[str], keys: PublicKeys, result: Comparison) -> Iterator[SignedHead]:
    for number, line in enumerate(lines, start=1):
        try:
            head = parse_line(line)
            check_signature(head, keys)
        except NoSignedHead:
            result.refuse(f"Line {number} is no signed head.")
        except UnknownKey as key:
            result.refuse(f"Line {number} is forged or of another deployment: the key {key} is unknown.")
        except WrongSignature:
            result.refuse(f"Line {number} is forged or altered: its signature is wrong.")
        else:
            yield head


def _stored_hashes(heads: Iterable[SignedHead]) -> dict[tuple[str, int], str | None]:
    """Return the stored hash of each head's event in hexadecimal, None where there is no such event."""
    wanted = {(head.tenant_id, head.sequence) for head in heads}
    with connection.cursor() as cursor:
        cursor.execute(HASHES, [[tenant_id for tenant_id, _ in wanted], [sequence for _, sequence in wanted]])
        return {
            (tenant_id, sequence): None if digest is None else bytes(digest).hex()
            for tenant_id, sequence, digest in cursor.fetchall()
        }


def _describe(tenant_id: str, head: SignedHead, last_fitting: int) -> str:
    events = Event.objects.filter(tenant_id=tenant_id)
    newest = events.order_by("-sequence").first()
    if newest is None:
        trace = "has no events" if EventChain.objects.filter(tenant_id=tenant_id).exists() else "is missing"
        return f"The chain of {tenant_id} {trace}, but its event {head.sequence} was signed at {head.at}."
    if newest.sequence < head.sequence:
        return (
            f"The chain of {tenant_id} ends at event {newest.sequence},"
            f" but its event {head.sequence} was signed at {head.at}."
        )
    event = events.filter(sequence=head.sequence).first()
    first = last_fitting + 1
    place = f"event {first}" if first == head.sequence else f"one of the events {first} to {head.sequence}"
    return (
        f"The chain of {tenant_id} was rewritten: event {head.sequence}, {event.id if event else 'which is missing'},"
        f" is not the one that was signed at {head.at}, so {place} was changed."
    )
