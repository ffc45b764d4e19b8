"""The development server behind `make run`: all programs of the product, on a machine that has only Python.

It brings its own PostgreSQL (from a Python package) and its own token issuer (shaped like Keycloak).
Public: ``session.run`` for ``manage.py up``; ``postgres.scratch_server`` for the tests.

Invariants: never part of production (the command and the issuer refuse to start there). Every program ends with the
supervisor, also if the supervisor is killed. Secrets are made on the machine and are readable by their owner only.
"""
