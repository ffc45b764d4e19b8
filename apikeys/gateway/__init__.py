"""The HTTP interface for gateways: decisions on calls, verification of keys, configurations.

``views`` answers by way of Django; ``fast_path`` answers allowed calls before Django, in the same words; ``calls``
reads a call for both. ``exporters`` writes the files of seven proxies. Gateways are authenticated by
catalog.authentication.
"""
