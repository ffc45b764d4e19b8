"""Signed heads: statements, made with a key that is not in the database, of which hash a chain had at which event.

The owner of the database can switch the triggers off, rewrite an event and hash the chain again: the chain alone is
whole then. A signed head that was kept elsewhere does not fit it, and the owner cannot sign another one.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from django.utils import timezone

from stoa_cp.crypto.audit_keys import PublicKeys, audit_keys, key_id_of
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.models import EventChain

# Signed with each head, before its JSON: a signature that this key makes of anything else can never pass for a head.
DOMAIN = b"stoa event head v1\n"
MAX_LINE_CHARACTERS = 1_000  # a line has about 300
PATTERNS = {
    "tenant_id": r"[ -~]{1,20}",
    "hash": r"[0-9a-f]{64}",
    "at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "key_id": r"[0-9a-f]{16}",
    "signature": r"[A-Za-z0-9+/]{86}==",
}


class NotSigned(NotFound):
    """STOA_AUDIT_KEYS is not set, so that there is nothing to sign with."""


class NoSignedHead(ValueError):
    """A line that does not have the form of a signed head."""


class UnknownKey(ValueError):
    """A head that none of the given keys has signed: it may be forged, or of another deployment."""


class WrongSignature(ValueError):
    """A head that is not as the key has signed it."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The hash of a chain's event ``sequence``, the last one when it was signed at ``at`` (UTC, whole seconds)."""

    tenant_id: str
    sequence: int
    hash: str
    at: str
    key_id: str
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """Return what the signature covers: DOMAIN, then all other members as JSON, sorted, without blanks, ASCII."""
        members = asdict(self)
        del members["signature"]
        return DOMAIN + json.dumps(members, sort_keys=True, separators=(",", ":")).encode()

    def line(self) -> str:
        """Return the head as a line of the export, without its end."""
        return json.dumps(asdict(self), separators=(",", ":"))


def sign_heads(chains: Iterable[EventChain]) -> list[SignedHead]:
    """Sign the heads of these chains with the newest key. Raises NotSigned without a key."""
    # This machine's clock, because the database's owner sets the other one.
    now = timezone.now()
    return [sign(chain.tenant_id, chain.sequence, bytes(chain.hash), now) for chain in chains]


def sign(tenant_id: str, sequence: int, digest: bytes, now: datetime) -> SignedHead:
    """Sign the hash of one event. Raises NotSigned without a key."""
    keys = audit_keys()
    if not keys:
        raise NotSigned
    key_id = key_id_of(keys[0].public_key())
    head = SignedHead(tenant_id, sequence, digest.hex(), now.strftime("%Y-%m-%dT%H:%M:%SZ"), key_id)
    signature = base64.b64encode(keys[0].sign(head.signed_bytes())).decode()
    return SignedHead(**(asdict(head) | {"signature": signature}))


def check_signature(head: SignedHead, keys: PublicKeys) -> None:
    """Raise UnknownKey or WrongSignature unless one of ``keys`` has signed ``head``."""
    key = keys.get(head.key_id)
    if key is None:
        raise UnknownKey(head.key_id)
    try:
        key.verify(base64.b64decode(head.signature), head.signed_bytes())
    except InvalidSignature as error:
        raise WrongSignature from error


def parse_line(text: str) -> SignedHead:
    """Return the head of a line, whose signature is not verified yet. Raises NoSignedHead."""
    try:
        members = json.loads(text) if len(text) <= MAX_LINE_CHARACTERS else None
    except (ValueError, RecursionError) as error:
        raise NoSignedHead from error
    if not isinstance(members, dict) or not _is_head(members):
        raise NoSignedHead
    return SignedHead(**members)


def _is_head(members: Mapping[str, Any]) -> bool:
    if members.keys() != {*PATTERNS, "sequence"}:
        return False
    sequence = members["sequence"]
    if type(sequence) is not int or not 0 < sequence < 2**63:  # true is an int, too
        return False
    return all(
        isinstance(members[name], str) and re.fullmatch(pattern, members[name], re.ASCII)
        for name, pattern in PATTERNS.items()
    )
