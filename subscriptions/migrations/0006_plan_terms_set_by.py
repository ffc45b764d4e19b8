"""Note who set a plan's terms last. For the plans that exist, the event log tells it."""

from django.db import migrations, models

# One pass over the log, which is only read. A plan that the log does not name keeps "": unknown.
FIND_AUTHORS = """
UPDATE subscriptions_plan plan SET terms_set_by = last.actor
FROM (
    SELECT DISTINCT ON (data->>'id') data->>'id' AS plan_id, actor
    FROM stoa_cp_event
    WHERE type = 'plan.created'
       OR type = 'plan.updated' AND changes ?| ARRAY['rate_limit', 'quota', 'approval']
    ORDER BY data->>'id', sequence DESC
) last
WHERE plan.id = last.plan_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("subscriptions", "0005_terms_of_pending_requests"),
        ("stoa_cp", "0002_event_log_is_immutable"),
    ]

    operations = [
        migrations.AddField(
            "plan",
            "terms_set_by",
            # With a default of the database: the older release, beside this one during an upgrade, inserts without it.
            models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.RunSQL(FIND_AUTHORS, migrations.RunSQL.noop),
    ]
