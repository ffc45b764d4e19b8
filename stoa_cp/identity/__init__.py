"""Authentication and rights: bearer tokens of the identity provider, and its signing keys.

Public: ``authentication.authenticate_bearer`` (header → Actor), ``permissions.require`` and ``HasRight``,
``tokens.verify_access_token``, ``jwks.signing_keys``.

Invariants: only the provider's published keys verify a token. A known key needs no network. An unknown key makes at
most one fetch in 10 s. A call to the provider has one deadline and is never made inside a transaction of the caller.
"""
