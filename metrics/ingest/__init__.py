"""Reads a batch of traffic records: from bytes to calls that can be counted, and refusals.

In this order: ``batches`` decodes the bytes, ``records`` validates each record, ``grouping`` groups the valid ones by
minute, API and subscription, ``references`` looks up the ids. ``metrics.services.ingest_batch`` runs them. Invariants:
a bad record is refused alone, a bad document as a whole; the fast decoder and the careful one give the same result for
any bytes; nothing here writes.
"""
