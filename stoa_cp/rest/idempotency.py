"""The Idempotency-Key: a repeated POST or PATCH happens once, and gets the first answer again, byte for byte.

The answer is stored in the transaction of the effect, so that neither exists without the other. It may hold a secret.
Therefore it is encrypted under a key derived (HKDF) from the client's Idempotency-Key and our SECRET_KEY: the database
alone is not enough to read it. SECRET_KEY_FALLBACKS read what was stored before SECRET_KEY was replaced.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from stoa_cp.db.expiry import delete_expired
from stoa_cp.domain.errors import DomainError, InvalidField
from stoa_cp.rest.models import IdempotencyRecord

HEADER = "Idempotency-Key"
RETENTION = timedelta(hours=24)  # the contract's promise to clients
KEY = re.compile(r'("?)([\x21\x23-\x7e]{1,255})\1', re.ASCII)
STORED_HEADERS = ("Content-Type", "Location", "ETag")


class IdempotencyKeyReused(DomainError):
    """The key was used with another body, or with other parameters, before."""

    detail_code = "idempotency_key_reused"
    message = _("This Idempotency-Key was used with another body, or with other parameters.")


class IdempotencyInProgress(DomainError):
    """The first request with this key has not been answered yet."""

    detail_code = "idempotency_in_progress"
    message = _("The first request with this Idempotency-Key is still running.")


class IdempotentAnswerUnreadable(DomainError):
    """The first request was carried out, and its answer is encrypted under a SECRET_KEY that is gone.

    A refusal: carried out again, the request would happen twice.
    """

    detail_code = "idempotency_answer_unreadable"
    message = _("The first request with this Idempotency-Key was carried out. Its answer can no longer be read.")


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request with a key. ``scope`` is its principal, method and path: the same key elsewhere is another request.

    ``body`` is what must be the same in a retry: the query and the body.
    """

    key: str
    scope: str
    body: bytes

    @classmethod
    def read(cls, header: str, scope: str, body: bytes) -> "IdempotentRequest":
        """Take the key bare or quoted. Raises InvalidField for anything but 1 to 255 visible ASCII characters."""
        matched = KEY.fullmatch(header)
        if matched is None:
            raise InvalidField(HEADER, _("An Idempotency-Key has 1 to 255 visible ASCII characters."))
        return cls(matched.group(2), scope, body)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(f"{self.scope}\n{self.key}".encode()).digest()

    @property
    def body_digest(self) -> bytes:
        return hashlib.sha256(self.body).digest()

    def claim(self) -> HttpResponse | None:
        """Return the stored answer, or None if this request must be carried out, in this transaction.

        Raises IdempotencyInProgress, IdempotencyKeyReused, IdempotentAnswerUnreadable.
        """
        self._lock()
        stored = IdempotencyRecord.objects.filter(digest=self.digest, created_at__gt=Now() - RETENTION).first()
        if stored is None:
            return None
        if not constant_time_compare(bytes(stored.body_digest), self.body_digest):
            raise IdempotencyKeyReused
        try:
            content = self._cipher().decrypt(bytes(stored.content))
        except InvalidToken as error:
            raise IdempotentAnswerUnreadable from error
        response = HttpResponse(content, status=stored.status)
        for name, value in stored.headers.items():
            response[name] = value
        response["Idempotency-Replayed"] = "true"
        return response

    def store(self, response: HttpResponse) -> None:
        """Store the answer. It becomes visible to retries when the transaction commits, together with the effect."""
        IdempotencyRecord.objects.update_or_create(
            digest=self.digest,
            defaults={
                "body_digest": self.body_digest,
                "status": response.status_code,
                "headers": {name: response[name] for name in STORED_HEADERS if name in response},
                "content": self._cipher().encrypt(response.content),
                "created_at": Now(),
            },
        )

    def _lock(self) -> None:
        """Lock the key until the transaction ends, or raise IdempotencyInProgress.

        It does not wait: a waiting retry would hold a thread for as long as the first request takes, and a client that
        sends many retries could hold them all.
        """
        number = int.from_bytes(self.digest[:8], "big", signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
            (is_ours,) = cursor.fetchone()
        if not is_ours:
            raise IdempotencyInProgress

    def _cipher(self) -> MultiFernet:
        """Return the keys from all secret keys: the first encrypts, all decrypt."""
        return MultiFernet(
            [self._key_under(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
        )

    def _key_under(self, secret: str) -> Fernet:
        derivation = HKDF(SHA256(), length=32, salt=secret.encode(), info=b"idempotency")
        return Fernet(base64.urlsafe_b64encode(derivation.derive(self.key.encode())))


def delete_expired_records() -> int:
    """Delete the records past their retention; return their number."""
    return delete_expired(IdempotencyRecord.objects.filter(created_at__lte=Now() - RETENTION))
