"""Webhooks: every event delivered, signed, at least once, to the receivers that asked for it."""
