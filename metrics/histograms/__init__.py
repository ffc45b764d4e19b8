"""Latencies in a form that can be added up, and the percentiles read from it.

``sketch.Sketch`` counts requests by status class and latency bucket; it is what ingestion and rollups add up.
``cumulative`` derives from a sketch the histogram that percentiles are looked up in. ``percentiles.LatencySummary``
reads both. Invariants: adding is exact and in any order; each percentile is within 1 % of the exact one
(nearest rank), whatever was added up; equal contents have equal bytes.
"""
