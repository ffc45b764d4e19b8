"""Whether a call may pass, and what it counts as: one SQL statement, and a cache that repeats its answer."""
