"""Reads the access logs of gateways: their formats, and following a growing file."""
