"""Copy the plan's terms into the requests that wait.

In a transaction of its own, after the trigger's: that one locks the table against writes until its commit, this one
locks the pending rows only. The version is counted up, because the ETag covers the terms that are shown.
"""

from django.db import migrations

COPY_TERMS = """
UPDATE subscriptions_subscription subscription
SET rate_limit = COALESCE(subscription.rate_limit, plan.rate_limit),
    quota = COALESCE(subscription.quota, plan.quota),
    version = subscription.version + 1
FROM subscriptions_plan plan
WHERE plan.id = subscription.plan_id AND subscription.status = 'pending_approval'
  AND (subscription.rate_limit IS NULL AND plan.rate_limit IS NOT NULL
    OR subscription.quota IS NULL AND plan.quota IS NOT NULL)
"""


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0004_terms_at_request")]

    # Nothing to undo: the older release grants the terms that a row has.
    operations = [migrations.RunSQL(COPY_TERMS, migrations.RunSQL.noop)]
