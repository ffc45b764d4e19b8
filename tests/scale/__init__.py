"""A large installation: its rows (``loading``), a database with a hundredth of them, and the plans of statements.

Rows have numbers, from which all that they hold is computed: ``sizes`` tells which tenant owns a row, ``values`` its
id, and the module of each app has functions such as ``apikeys.key_id(7)``. Tenant 0 is the large one, with a tenth of
everything. A test of plans takes the fixture ``at_scale``, runs the code in ``plans.explained``, and expects no
``plans.sequential_scans``.
"""
