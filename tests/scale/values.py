"""Ids, secrets and times of the rows: computed from their numbers, so that each run and each module has the same."""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from stoa_cp.crypto.credentials import ALPHABET, RANDOM_LENGTH, checksum
from stoa_cp.db.ids import BODY_LENGTH, LETTERS
from tests.scale.sizes import DAYS

# Whole minutes, for buckets and for short text. Taken once: all modules of a run agree.
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
DIGITS = (ALPHABET.encode() * 5)[:256]  # a digit for each value of a byte


def id_of(prefix: str, number: int) -> str:
    """Return the id of row ``number``: as scattered as random ones, and so as dear for an index."""
    scattered = blake2b(f"{prefix}{number}".encode(), digest_size=BODY_LENGTH).digest()
    return f"{prefix}-{scattered.translate(LETTERS).decode()}"


def credential_of(number: int, prefix: str = "stoa_live_") -> str:
    """Return the secret of key ``number``, well-formed, so that it verifies."""
    random = blake2b(f"{prefix}{number}".encode(), digest_size=RANDOM_LENGTH).digest().translate(DIGITS).decode()
    return f"{prefix}{random}{checksum(f'{prefix}{random}')}"


def moment_of(number: int, total: int) -> datetime:
    """Return when row ``number`` of ``total`` was made: evenly spread over DAYS, the last one a minute ago."""
    return NOW - timedelta(minutes=1) - timedelta(days=DAYS) * ((total - 1 - number) / total)
