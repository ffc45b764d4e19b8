from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('stoa_cp', '0013_worker_metrics'),
    ]

    operations = [
        # Without a default: PostgreSQL changes its catalogue alone, however long the log is, and an older release, which
        # does not name the column, still inserts.
        migrations.AddField(
            model_name='event',
            name='traceparent',
            field=models.CharField(blank=True, max_length=55, null=True),
        ),
    ]
