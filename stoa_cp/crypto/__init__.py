"""Secrets: hashed if they are only compared, encrypted if they must be sent again.

- ``credentials``: new API keys and tokens, their checksum, and the digests under which they are stored.
- ``encryption``: ``encrypt``, ``decrypt`` and ``reencrypt`` for webhook secrets and the like.
- ``new_secrets``: makes each secret in the form of its setting.
- The first two take lists from the settings, newest first: the first entry writes, all of them read. So peppers and
  keys can be rotated without a moment at which a stored secret is not accepted.
"""
