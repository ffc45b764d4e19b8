"""Sums traffic up by minute, hour and day, in partitioned tables."""
