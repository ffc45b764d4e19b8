"""Tenants: the organisations that own APIs, plans and subscriptions.

``services`` create, change, suspend and delete a tenant; ``queries`` find those that a caller may see. ``scoping`` is
the viewset of all that is inside a tenant, ``rate_limit`` the limit of its callers, ``event_log`` how its log is read.
Invariants: another tenant's objects answer 404, as if they did not exist; a name is unique among live tenants and never
looks like an id. Suspending or deleting a tenant changes one row: everything inside is reached through that row.
"""
