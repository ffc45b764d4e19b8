"""Blocks of calls that are counted before they are made: who has borrowed from a meter, and when it was reset."""

from django.db import migrations, models

# Counting sets `loans` on each call; only what takes blocks back is told.
FORWARD = """
CREATE TRIGGER apikeys_meter_announces_change AFTER UPDATE OF loans, reset_at ON apikeys_meter
    FOR EACH ROW
    WHEN (NEW.loans = 'recalled' AND OLD.loans <> 'recalled' OR NEW.reset_at IS DISTINCT FROM OLD.reset_at)
    EXECUTE FUNCTION stoa_cp_announce_change('tenant_id');
"""
BACKWARD = "DROP TRIGGER apikeys_meter_announces_change ON apikeys_meter"


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0004_announce_changes")]

    operations = [
        migrations.AddField(
            model_name="meter",
            name="loans",
            field=models.CharField(
                choices=[("none", "None"), ("out", "Out"), ("recalled", "Recalled")],
                db_default="none",
                default="none",
                editable=False,
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="meter",
            name="reset_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last reset"),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
