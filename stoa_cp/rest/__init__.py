"""What every REST endpoint under ``/v1`` shares.

- ``middleware`` authenticates and counts a call; ``api_call`` hands it to the views.
- ``viewsets`` reads lists and objects, ``writes.run_write`` carries out every write.
- ``problems`` alone maps refusals to HTTP statuses, for every path of the service.

Invariants: a body is read strictly (no unknown field, no type guessing), and no input whatsoever answers 5xx.
"""
