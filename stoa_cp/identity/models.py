"""The identity provider's signing keys, kept over restarts."""

from django.db import models


class SigningKeySet(models.Model):
    """The last JWKS document that an identity provider served: what a restart during its outage goes on with."""

    issuer = models.CharField(max_length=500, primary_key=True)
    document = models.JSONField()
    fetched_at = models.DateTimeField()
