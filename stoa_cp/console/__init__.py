"""Base classes of the operators' admin: read-only pages, and form actions that call one service."""
