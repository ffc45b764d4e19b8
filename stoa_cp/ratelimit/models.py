"""The rows that count calls where the counters are kept in PostgreSQL."""

from django.db import models


class Counter(models.Model):
    """A number that counts calls in one window. The database's clock decides when it ends."""

    key = models.CharField(max_length=255, primary_key=True, db_collation="C")
    value = models.BigIntegerField()
    expires_at = models.DateTimeField(null=True)

    class Meta:
        # For the sweep. Counting does not touch the column, so it stays as cheap as without.
        indexes = [models.Index(fields=["expires_at"], name="counter_expires_at")]
