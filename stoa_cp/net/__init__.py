"""Network addresses: which client sent a request, and which hosts our own requests may reach.

Public: ``client_address.client_address``, ``targets.parse_target``, ``targets.vetted_addresses``,
``targets.check_url``, ``egress.is_forbidden``, ``egress.addresses_of``.

Invariant: a request to a URL that a tenant chose goes only to an address that ``vetted_addresses`` returned
(protection against server-side request forgery).
"""
