"""The answers that are kept for a retry with the same Idempotency-Key."""

from django.db import models


class IdempotencyRecord(models.Model):
    """The answer to a request with an Idempotency-Key, encrypted, for its retries."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    body_digest = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField()
    content = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        # The table keeps its first name: an older release runs beside this one during an upgrade.
        db_table = "stoa_cp_storedanswer"
        indexes = [models.Index(fields=["created_at"], name="stored_answer_created_at")]
