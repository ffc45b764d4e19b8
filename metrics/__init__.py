"""Metrics: traffic that gateways report, counted exactly once; latencies and usage read from it.

``services.ingest_batch`` counts a batch (``ingest``), ``rollups`` sums it up by minute, hour and day, ``queries`` and
``reporting`` answer from the sums and from what is not summed up yet. ``histograms`` is how latencies are stored;
``access_logs`` reads what gateways log.
"""
