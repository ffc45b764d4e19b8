"""Per-process caches of database rows that are never stale: cache, listener, barrier, triggers."""
