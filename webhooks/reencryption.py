"""Brings stored secrets under the newest encryption key, so that older keys can leave the list."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from stoa_cp.crypto.encryption import reencrypt
from subscriptions.models import Subscription
from webhooks.models import Webhook

SECRETS: tuple[tuple[QuerySet[Any], str], ...] = (
    (Subscription.objects.all(), "callback_secret"),
    (Webhook.objects.all(), "secret"),
    (Webhook.objects.all(), "previous_secret"),
)
BATCH = 200


def reencrypt_secrets() -> Iterator[int]:
    """Re-encrypt every secret that is sent again; yield the size of each batch once it is committed.

    Raises InvalidToken for a secret that none of the present keys opens: then nothing of its batch is written.
    """
    for rows, column in SECRETS:
        last = ""
        while batch := _reencrypt_batch(rows, column, last):
            last = batch[-1]
            yield len(batch)


@transaction.atomic
def _reencrypt_batch(rows: QuerySet[Any], column: str, after: str) -> list[str]:
    """Re-encrypt the next secrets in the order of their rows' ids, and return those ids."""
    next_rows = rows.filter(pk__gt=after, **{f"{column}__isnull": False}).order_by("pk")
    tokens = dict(next_rows.select_for_update(no_key=True).values_list("pk", column)[:BATCH])
    for pk, token in tokens.items():
        # A row's version counts what its owner changed, and this is nothing that they could see.
        rows.filter(pk=pk).update(**{column: reencrypt(token)})
    return list(tokens)
