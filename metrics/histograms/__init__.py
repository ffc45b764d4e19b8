"""Latency distributions that can be added up, and the percentiles read from them."""
