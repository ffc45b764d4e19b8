"""Commands of the subscriptions app."""
