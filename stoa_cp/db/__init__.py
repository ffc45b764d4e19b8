"""Tools for rows of any app, and for the database as a whole.

- ``ids.IdField`` and ``ids.new_id``: public ids; ``fields.VersionField``: the number behind an ETag.
- ``bounds.check_below``: how many rows of a kind a tenant may have; ``runtime_role``: a role that owns nothing.
- ``constraints.translate_violations``: a violated constraint becomes the refusal that it stands for.
- ``changes.apply_changes``: a partial update, and what it changed.
- ``prepared.prepared_query`` and ``prepared.fetch_one``: statements that PostgreSQL plans once.
"""
