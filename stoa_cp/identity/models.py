"""The last signing keys of the identity provider, kept for processes that start while it is away."""

from django.db import models


class SigningKeySet(models.Model):
    """The last JWKS document that an issuer served (RFC 7517). One row per issuer, overwritten by ``KeyStore``."""

    issuer = models.CharField(max_length=500, primary_key=True)
    document = models.JSONField()
    fetched_at = models.DateTimeField()
