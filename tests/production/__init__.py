"""Starts the service as it runs in production, from the files that are shipped for it: `make production`.

No container engine is needed. ``python -m tests.production`` runs in namespaces of its own: all ports and names are
free there, and the files of this machine are not changed.
"""
