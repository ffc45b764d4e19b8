"""Leases, epochs, and the trigger function that notifies the caches of a changed row: see ``stoa_cp.caching``."""

from django.db import migrations, models

import stoa_cp.db.ids

FORWARD = """
CREATE SEQUENCE stoa_cp_epoch;
-- Its argument names the column with the owner of a row. TRUNCATE sends no owner: all rows have changed.
CREATE FUNCTION stoa_cp_announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        PERFORM pg_notify('stoa_changes', '');
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('stoa_changes', to_jsonb(OLD) ->> TG_ARGV[0]);
    ELSE
        PERFORM pg_notify('stoa_changes', to_jsonb(NEW) ->> TG_ARGV[0]);
    END IF;
    RETURN NULL;
END $$;
"""
BACKWARD = """
DROP FUNCTION stoa_cp_announce_change();
DROP SEQUENCE stoa_cp_epoch;
"""


class Migration(migrations.Migration):
    dependencies = [("stoa_cp", "0004_event_newest_first")]

    operations = [
        migrations.CreateModel(
            name="CacheLease",
            fields=[
                ("holder", stoa_cp.db.ids.IdField(prefix="hld", serialize=False)),
                ("confirmed_epoch", models.BigIntegerField()),
                ("valid_until", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
