"""Create the rollup tables. Django cannot say PARTITION BY; the partitions themselves are metrics.rollups.partitions' duty."""

import django.db.models.deletion
from django.db import migrations, models

# Wide columns first, so that no byte of a row goes into alignment.
CREATE = """
CREATE TABLE {table} (
    series_id bigint NOT NULL REFERENCES metrics_series ON DELETE CASCADE,
    bucket timestamptz NOT NULL,
    requests bigint NOT NULL CHECK (requests > 0),
    errors bigint NOT NULL CHECK (errors BETWEEN 0 AND requests),
    sketch bytea NOT NULL,
    PRIMARY KEY (series_id, bucket)
) PARTITION BY RANGE (bucket);
"""
DROP = "DROP TABLE {table};"
TABLES = ("metrics_minutetraffic", "metrics_hourtraffic", "metrics_daytraffic")


def rollup(name):
    return migrations.CreateModel(
        name=name,
        fields=[
            ('pk', models.CompositePrimaryKey('series', 'bucket', blank=True, editable=False, primary_key=True, serialize=False)),
            ('series', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='metrics.series')),
            ('bucket', models.DateTimeField()),
            ('requests', models.PositiveBigIntegerField()),
            ('errors', models.PositiveBigIntegerField()),
            ('sketch', models.BinaryField()),
        ],
    )


class Migration(migrations.Migration):
    dependencies = [("metrics", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(CREATE.format(table=table), DROP.format(table=table)) for table in TABLES
            ],
            state_operations=[rollup("MinuteTraffic"), rollup("HourTraffic"), rollup("DayTraffic")],
        ),
    ]
