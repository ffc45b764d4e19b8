"""Network addresses: which client sent a request, and which hosts our own requests may reach.

Public: ``client_address.client_address``, ``urls.parse_url``, ``targets.parse_target``, ``targets.vetted_addresses``,
``targets.check_url``, ``egress.is_forbidden``, ``egress.addresses_of_each``, ``addresses.is_local``, ``cidrs``.

Invariant: a request to a URL that a tenant chose goes only to an address that ``vetted_addresses`` returned
(protection against server-side request forgery).
"""
