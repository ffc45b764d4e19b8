"""The people of the console: how they sign in, and how often they may try.

Public: ``single_sign_on`` (backend and views of the code flow), ``login_limit.limit_logins`` (the password form).

Invariants: a user of the identity provider is found by its subject, and has the rights of its role.
"""
