"""Let a request have its plan's terms from the beginning, whichever release stores it.

The release before this one leaves the terms of a request empty, which it reads as "as in the plan", and runs beside
this one during an upgrade. In this release empty is unlimited. The trigger fills in what the older one leaves out; it
can go with the release after this one.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION subscriptions_copy_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT COALESCE(NEW.rate_limit, plan.rate_limit), COALESCE(NEW.quota, plan.quota)
    INTO NEW.rate_limit, NEW.quota
    FROM subscriptions_plan plan
    WHERE plan.id = NEW.plan_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER subscription_has_terms BEFORE INSERT ON subscriptions_subscription
    FOR EACH ROW WHEN (NEW.status = 'pending_approval') EXECUTE FUNCTION subscriptions_copy_terms();
"""
BACKWARD = """
DROP TRIGGER subscription_has_terms ON subscriptions_subscription;
DROP FUNCTION subscriptions_copy_terms();
"""


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0003_announce_changes")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
