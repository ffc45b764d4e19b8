"""Reads a batch of traffic records: its bytes, each record, what the records refer to, what counts together."""
