"""Subscriptions: an application asks for an API under a plan, and somebody decides. Read this app first."""
