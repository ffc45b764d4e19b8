"""The rate limits of this API: who counts together, and exact counters over many processes."""
