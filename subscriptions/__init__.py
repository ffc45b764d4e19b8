"""Subscriptions: an application asks for access to an API under a plan, and an approver decides. Read this app first.

Doors (``views``, ``admin``, ``tasks``, ``management``) read the request and call one function of ``services`` or
``queries``. A service is one use case in one transaction: it locks, checks, changes, saves, emits an event, returns.
``models`` holds the rows and what must always be true of them, as constraints of the database.
Invariants: an application has one live subscription per API; rejected, revoked and expired are final; the terms
are those of the approval, and a later change of the plan leaves them alone.
"""
