"""The catalogue: the APIs that tenants offer, and the gateways that carry their traffic.

``services.apis`` and ``services.gateways`` create, change and delete them. ``routing`` and ``routes`` find the API that
a request's path selects; ``importing`` reads an OpenAPI document; ``authentication`` finds the gateway that calls us.
Invariants: among a tenant's live APIs a path is unique, and so is a name with its version; a gateway's token is stored
as a digest; a path or a URL that two programs could read differently is refused.
"""
