"""The rate limits of this API: ``limiter.rate_limit_of`` finds the limit of a caller, ``limiter.hit`` counts a call.

``counters`` is the store: a Django cache backend on PostgreSQL, unless ``STOA_COUNTER_URL`` names a Redis. Counts are
exact over any number of processes. (The limits of subscriptions are not counted here: see ``apikeys.decisions``.)
"""
