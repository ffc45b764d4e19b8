"""Building blocks of the operators' admin, on top of django-unfold.

Public: ``pages.ReadOnlyAdmin`` and ``LargeTableAdmin`` (model pages), ``pages.column`` and ``format_*`` (lists),
``actions.service_action`` with ``Dialog`` and ``ActionResult`` (buttons), ``operators`` (accounts and sessions).

Invariant: rows of the product are written by services only, in the operator's name, and never by a model form. So the
console has the same rules and the same events as the REST API.
"""
