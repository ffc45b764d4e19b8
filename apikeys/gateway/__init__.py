"""What gateways ask for over HTTP: decisions, key verification, configurations."""
