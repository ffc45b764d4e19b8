"""What one request may send and one tenant may have."""

from stoa_cp.settings.environment import env

# The largest bodies of requests.
STOA_MAX_BODY_BYTES = 256 * 1024
STOA_MAX_TRAFFIC_BODY_BYTES = 8 * 1024 * 1024  # up to 10,000 records: see metrics.ingest.batches
STOA_MAX_LEAK_REPORT_BYTES = 1024 * 1024  # up to 1,000 leaks, each with its address: see apikeys.leaks.github
# Django's own limit applies to ``request.body``, which all but traffic is read by.
DATA_UPLOAD_MAX_MEMORY_SIZE = STOA_MAX_LEAK_REPORT_BYTES
# Of one web process, as the server is told. Gateways aside, at most half of them read bodies, and at most half answer
# calls of one tenant.
STOA_WEB_THREADS = env.number("STOA_WEB_THREADS", default=4, least=1)

# Of each tenant, because all tenants share the tables and the configurations of gateways: live APIs and subscriptions,
# and keys that are not revoked.
STOA_MAX_APIS_PER_TENANT = env.number("STOA_MAX_APIS_PER_TENANT", default=20_000)
STOA_MAX_SUBSCRIPTIONS_PER_TENANT = env.number("STOA_MAX_SUBSCRIPTIONS_PER_TENANT", default=200_000)
STOA_MAX_KEYS_PER_TENANT = env.number("STOA_MAX_KEYS_PER_TENANT", default=400_000)
