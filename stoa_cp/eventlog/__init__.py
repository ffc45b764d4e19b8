"""The append-only log of every change, and the hash chain that makes tampering visible."""
