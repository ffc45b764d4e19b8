"""The people of the console: how they sign in, what they may do, and when their sessions end.

Public: ``single_sign_on``, ``sign_in`` and ``passwords`` (the ways in), ``session_store`` and ``sessions`` (rows that
can be listed and ended), ``session_check`` (middleware), ``sign_out`` (both directions), ``accounts`` (rights).

Invariants: a session ends at once when its row is deleted, and at the latest after ``STOA_SESSION_MAX_HOURS``. Rights
that the provider withdraws last for 15 minutes at most. Each change has an event ``operator.*``, without a secret.
"""
