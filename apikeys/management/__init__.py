"""Commands of the apikeys app."""
