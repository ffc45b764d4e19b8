"""Who calls: bearer tokens, the provider's signing keys, roles and rights, the operators' login."""
