"""Let a role that does not own the rollups create and drop their partitions, by two functions that run as the owner.

SECURITY DEFINER runs a function with the rights of the one who created it. So these take no name and no bound from their
caller: a table from a list of three and a moment give both. Their search_path, time zone and date style are fixed, or a
caller could choose what a name or a date in them means. PUBLIC may not call them; ``prepare --runtime-role`` grants it.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

# {schema} is where the tables are: the fixed search_path does not have it, because others may be able to create there.
FORWARD = """
CREATE FUNCTION metrics_partition_at(
    parent text, moment timestamptz, OUT name text, OUT starts_at timestamptz, OUT ends_at timestamptz
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET DateStyle = 'ISO, YMD' AS $$
DECLARE
    unit text;
    pattern text;
BEGIN
    CASE parent
        WHEN 'metrics_minutetraffic' THEN unit := 'day'; pattern := 'YYYYMMDD';
        WHEN 'metrics_hourtraffic' THEN unit := 'month'; pattern := 'YYYYMM';
        WHEN 'metrics_daytraffic' THEN unit := 'year'; pattern := 'YYYY';
        ELSE RAISE EXCEPTION 'this table has no partitions of traffic' USING ERRCODE = 'invalid_parameter_value';
    END CASE;
    -- Two years of days are made ahead. NULL and infinity are outside as well.
    IF (moment BETWEEN '1970-01-01' AND statement_timestamp() + interval '3 years') IS NOT TRUE THEN
        RAISE EXCEPTION 'this moment is out of bounds' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    name := parent || '_' || to_char(moment, pattern);
    starts_at := date_trunc(unit, moment);
    ends_at := starts_at + ('1 ' || unit)::interval;
END $$;

CREATE FUNCTION metrics_create_partition(parent text, moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET DateStyle = 'ISO, YMD' AS $$
DECLARE
    partition record;
BEGIN
    SELECT * INTO partition FROM {schema}.metrics_partition_at(parent, moment);
    -- IF NOT EXISTS takes no lock on the parent table if the partition exists, so readers do not wait.
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS {schema}.%I PARTITION OF {schema}.%I FOR VALUES FROM (%L) TO (%L)',
        partition.name, parent, partition.starts_at, partition.ends_at
    );
END $$;

CREATE FUNCTION metrics_drop_partition(parent text, moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET DateStyle = 'ISO, YMD' AS $$
DECLARE
    partition record;
BEGIN
    SELECT * INTO partition FROM {schema}.metrics_partition_at(parent, moment);
    -- The shortest retention is one day. An hour less, because the clock that has chosen the partition may be ahead.
    IF partition.ends_at > statement_timestamp() - interval '23 hours' THEN
        RAISE EXCEPTION 'this partition is not old enough' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- A table of this name that was detached is kept on purpose.
    IF NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhparent = to_regclass(format('{schema}.%I', parent))
            AND inhrelid = to_regclass(format('{schema}.%I', partition.name))
    ) THEN
        RAISE EXCEPTION 'there is no such partition' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('DROP TABLE {schema}.%I', partition.name);
END $$;

REVOKE ALL ON FUNCTION
    metrics_partition_at(text, timestamptz),
    metrics_create_partition(text, timestamptz),
    metrics_drop_partition(text, timestamptz)
FROM PUBLIC;
"""
BACKWARD = """
DROP FUNCTION metrics_drop_partition(text, timestamptz);
DROP FUNCTION metrics_create_partition(text, timestamptz);
DROP FUNCTION metrics_partition_at(text, timestamptz);
"""


def create_functions(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    # params=None: a % in the text is no placeholder.
    editor.execute(FORWARD.replace("{schema}", schema), params=None)


class Migration(migrations.Migration):
    dependencies = [("metrics", "0005_dimensions_and_histograms")]

    operations = [
        migrations.RunPython(create_functions, lambda _apps, editor: editor.execute(BACKWARD)),
    ]
