"""The append-only log of every change, and the hash chain that makes tampering visible.

- ``emit.emit`` appends an event in the transaction of its change, and delays the response until caches are current.
- ``chain.examine_chain`` and ``chain.first_broken_sequence`` verify a tenant's log.
- Events are never updated or deleted (a trigger refuses it), and hold no secrets.
- Sequence numbers have no gaps and follow the order of commits: the chain's head is locked until the commit.
"""
