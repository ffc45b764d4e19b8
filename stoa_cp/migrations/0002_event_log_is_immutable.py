"""Let the database refuse every UPDATE and DELETE of the event log. Only a TRUNCATE by the owner of the table works."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION stoa_cp_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER event_is_immutable BEFORE UPDATE OR DELETE ON stoa_cp_event
    FOR EACH ROW EXECUTE FUNCTION stoa_cp_refuse_change();
"""
BACKWARD = """
DROP TRIGGER event_is_immutable ON stoa_cp_event;
DROP FUNCTION stoa_cp_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("stoa_cp", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
