"""API keys: the secrets that applications call with, and the decision whether a call may pass."""
