"""House rules as programs, run by ``make check``: ``python -m tests.house`` prints what breaks one, and where.

Each module holds one rule. Its docstring says why the rule exists; ``broken_rules(root)`` yields the findings.
The tests beside the modules try the rules on snippets, good and bad.
"""
