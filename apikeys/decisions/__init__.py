"""Decides whether a call may pass, and counts it: ``decide.decide``, ``decide.cached_decision``, ``explain.explain``.

Three invariants; most of this package exists to keep them at 20,000 calls per second:
1. A call passes only with a token that PostgreSQL has counted already. Losing one costs a call, and never allows one.
2. A process uses its cache only while it holds a lease; a change is answered only after each lease holder has dropped
   what it affects, or lost its lease. So the next call with a revoked key is refused.
3. The cache refuses nothing. PostgreSQL refuses at a limit after all processes have returned their unused tokens.
"""
