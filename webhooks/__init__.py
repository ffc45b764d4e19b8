"""Sends events to receivers: webhooks, their deliveries, and the published event types.

``services`` changes webhooks, ``delivery`` brings events to them, ``event_types`` lists what is published.

- An enabled webhook receives each event that it subscribes to at least once, unless ten attempts fail.
- No request goes to a forbidden address: a URL is checked when it is stored and at every send.
- A secret is shown once and stored encrypted; no event, log or list has it.
"""
