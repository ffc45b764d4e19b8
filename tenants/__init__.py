"""Tenants: who owns APIs and subscriptions, on which tier, within which limits."""
