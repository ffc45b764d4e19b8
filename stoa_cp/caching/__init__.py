"""Per-process caches of database rows that never answer from before a change that was answered.

- ``cache.Cache`` holds values by key; ``listener.start_listening`` lets a process use its caches.
- ``barrier.wait_for_invalidation_on_commit`` delays a writer until all caches are current; ``eventlog.emit`` calls it.
- ``triggers.announce_changes`` gives a table the triggers that notify caches, also of changes by plain SQL.
- A process answers from its caches only while it holds a lease, and holds one only while it caches something.
- Every cache is listed in ``STOA_PROCESS_CACHES``.
"""
