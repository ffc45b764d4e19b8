"""The use cases of this app, a module per noun, in the order in which they happen.

``plans`` are offered, ``provisioning`` gives a new tenant its first ones; ``requests`` ask for access, ``decisions``
approve or reject; ``subscriptions`` are then changed, suspended, resumed, revoked and expired.
"""
