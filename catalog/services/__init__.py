"""The use cases of APIs (``apis``) and of gateways (``gateways``). Every write of the two goes through here."""
