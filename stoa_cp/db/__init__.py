"""Tools for rows of any app.

- ``ids.IdField`` and ``ids.new_id``: public ids; ``fields.VersionField``: the number behind an ETag.
- ``constraints.translate_violations``: a violated constraint becomes the refusal that it stands for.
- ``changes.apply_changes``: a partial update, and what it changed.
- ``prepared.prepared_query`` and ``prepared.fetch_one``: statements that PostgreSQL plans once.
"""
