"""The leases of the processes that may answer from their caches."""

from django.db import models

from stoa_cp.db.ids import IdField


class CacheLease(models.Model):
    """A process that may answer from its caches until ``valid_until`` (the database's clock).

    It has received every change up to ``confirmed_epoch``. The holder's id is new each time a process starts.
    """

    holder = IdField(prefix="hld")
    confirmed_epoch = models.BigIntegerField()
    valid_until = models.DateTimeField()
