"""Secrets: random credentials stored as digests, and encryption of secrets that must be sent again."""
