"""Re-encrypts stored secrets with the newest encryption key, so that older keys can be removed from the settings."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from stoa_cp.crypto.encryption import reencrypt
from subscriptions.models import Subscription
from webhooks.models import Webhook

# Every column that is encrypted with STOA_ENCRYPTION_KEYS. A new one must be added here, or removing a key makes it
# unreadable.
ENCRYPTED_COLUMNS: tuple[tuple[QuerySet[Any], str], ...] = (
    (Subscription.objects.all(), "callback_secret"),
    (Webhook.objects.all(), "secret"),
    (Webhook.objects.all(), "previous_secret"),
)
# Rows that are locked together, so that no rotation of a secret waits long for one batch.
REENCRYPTION_BATCH_SIZE = 200


def reencrypt_secrets() -> Iterator[int]:
    """Re-encrypt every stored secret; yield the size of each batch once it is committed.

    In batches and repeatable: an interrupted run keeps what it has done, and a second run does no harm.
    Raises InvalidToken if none of the present keys decrypts a secret: then nothing of its batch is written.
    """
    for rows, column in ENCRYPTED_COLUMNS:
        last_id = ""
        while batch := _reencrypt_batch(rows, column, last_id):
            last_id = batch[-1]
            yield len(batch)


@transaction.atomic
def _reencrypt_batch(rows: QuerySet[Any], column: str, after: str) -> list[str]:
    """Re-encrypt the next secrets in the order of the rows' ids, and return those ids."""
    next_rows = rows.filter(pk__gt=after, **{f"{column}__isnull": False}).order_by("pk")
    # Locked, so that a secret that is rotated at the same time is not overwritten with the old one.
    ciphertexts = dict(next_rows.select_for_update(no_key=True).values_list("pk", column)[:REENCRYPTION_BATCH_SIZE])
    for pk, ciphertext in ciphertexts.items():
        # With update(), not save(): the owner changed nothing, so the row's version stays.
        rows.filter(pk=pk).update(**{column: reencrypt(ciphertext)})
    return list(ciphertexts)
