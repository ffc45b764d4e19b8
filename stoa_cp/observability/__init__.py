"""Response headers of every page, health checks, and metrics of requests and of workers.

- ``headers.HeadersMiddleware``: request id, Content-Security-Policy, Cache-Control.
- ``health.healthz`` and ``health.readyz``: probes.
- ``request_ids``: the request id, a trusted proxy's or our own.
- ``logs``: durations, no secrets of callers, JSON alone in production.
- ``ended_processes``: the counts of processes that have ended, in one file.
- ``metrics.count_request`` and ``metrics.process_metrics``: counters for Prometheus, by route and never by path.
- ``worker_metrics`` and ``task_runs``: counts of workers, which have no port, by way of the database.
"""
