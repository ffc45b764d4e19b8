"""Reports of keys that were found in public, from scanners of source code.

``views`` answers them; ``github`` verifies and reads the alerts of GitHub's secret scanning. What follows for a key is
the rule of ``apikeys.services.leaks``.
"""
