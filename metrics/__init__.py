"""Metrics: traffic counted exactly once, percentiles that can be added up, usage that a bill can rest on."""
