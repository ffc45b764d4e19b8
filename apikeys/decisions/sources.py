"""The rows that a decision reads: two FROM clauses of ``apikeys.decisions.statement``."""

HOLDER = """
    apikeys_keysecret secret
    JOIN apikeys_apikey key ON key.id = secret.key_id
    JOIN subscriptions_subscription subscription ON subscription.id = key.subscription_id
    JOIN subscriptions_plan plan ON plan.id = subscription.plan_id
"""
# A gateway that is bound to some tenants finds nothing of the others.
SERVED = "COALESCE(tenant.id = ANY(%(tenants)s::text[]), true)"
# The API at the path, whatever the key is: a key of another API is refused for that reason. Without a key, or with an
# unknown one, the key's columns are NULL.
FROM_PATH = f"""
    tenants_tenant tenant
    JOIN catalog_api api ON api.tenant_id = tenant.id AND api.deleted_at IS NULL
        AND api.path = ANY(%(prefixes)s::text[])
    LEFT JOIN ({HOLDER}) ON secret.digest = ANY(%(digests)s::bytea[])
    WHERE tenant.name = %(tenant)s AND tenant.deleted_at IS NULL AND {SERVED}
    ORDER BY length(api.path) DESC
    LIMIT 1
"""
# The API that the key was issued for.
FROM_KEY = f"""
    {HOLDER}
    JOIN catalog_api api ON api.id = subscription.api_id
    JOIN tenants_tenant tenant ON tenant.id = api.tenant_id
    WHERE secret.digest = ANY(%(digests)s::bytea[]) AND {SERVED}
"""
