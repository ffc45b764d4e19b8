"""API keys: the secrets that applications call with, and the decision whether a call may pass.

Services: ``keys`` (issue, rotate, revoke), ``access`` (subscribe, approve with a first key), ``expiry`` (warnings).
``decisions`` decides on calls and counts them; ``gateway`` is what gateways call.
A secret is stored as a digest only. A key works while itself, its subscription, its API and its tenant are live: every
decision joins the four, so that one changed row ends access at once.
"""
