"""The append-only log of every change, and the hash chain that makes tampering visible.

- ``emit.emit`` appends an event in the transaction of its change, and delays the response until caches are current.
- ``chain.first_broken_sequence`` verifies a tenant's log, ``verification.verify_chain`` a part of it for a caller.
- ``heads`` signs chain heads with a key that is not in the database; ``comparison.compare`` compares the log with them,
  ``checkpoints.sign_new_events`` verifies and signs what is new.
- Events are never updated or deleted (a trigger refuses it), and hold no secrets.
- Sequence numbers have no gaps and follow the order of commits: the chain's head is locked until the commit.
"""
