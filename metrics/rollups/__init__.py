"""Sums of traffic by minute, hour and day, in partitioned tables.

``fold.fold_deltas`` moves reported deltas into the rollups, ``rebuild.rebuild_day`` recomputes and compares them,
``partitions.maintain_partitions`` creates and drops their tables. Invariants: a delta is in the table of deltas or in
all rollups, never in both; there is one writer of rollups at a time (``locks``); a rollup equals the sum of the finer
one.
"""
