"""What happens to APIs (``apis``) and to gateways (``gateways``): one function per use case."""
