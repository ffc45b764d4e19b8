"""The kernel: what every app of the control plane stands on, and no business noun.

====================  ==================================================================================
The way in            ``urls`` ``gate`` ``shortcut`` ``addresses`` ``throttling`` ``headers`` ``errors``
Who calls             ``actors`` ``authentication`` ``tokens`` ``claims`` ``jwks`` ``signing_keys`` ``provider``
                      ``permissions`` ``operators``
Reading a request     ``viewsets`` ``parsers`` ``serializers`` ``parameters`` ``filtering`` ``pagination``
Writing once          ``concurrency`` ``idempotency`` ``changes`` ``constraints``
What happened         ``events`` ``audit`` ``doorbell`` ``broker`` ``celery`` ``tasks``
Rows and secrets      ``models`` ``fields`` ``ids`` ``counters`` ``prepared`` ``credentials`` ``encryption`` ``egress``
Never stale           ``caching`` ``invalidation`` ``epochs`` ``triggers``
The document          ``openapi`` ``openapi_hooks`` ``spectacular`` ``documents``
Watching it           ``health`` ``monitoring`` ``views`` ``logs`` ``checks``
The console           ``console`` ``desk`` ``dialogs`` ``admin`` ``unfold``; for terminals, ``commands``
====================  ==================================================================================
"""

from stoa_cp.celery import app as celery_app

__all__ = ["celery_app"]
