"""The catalogue: which APIs a tenant offers, and which gateways carry their traffic."""
