"""Which processes may answer from their caches, and up to which epoch of changes."""

from django.db import models

from stoa_cp.db.ids import IdField


class CacheLease(models.Model):
    """A process that answers from its cache until ``valid_until``, and which epoch of changes it has heard of."""

    holder = IdField(prefix="hld")
    confirmed_epoch = models.BigIntegerField()
    valid_until = models.DateTimeField()
