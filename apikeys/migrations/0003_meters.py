"""Meters: one narrow row for each subscription and API, updated by every call that passes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apikeys', '0002_tenant_isolation'),
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Meter',
            fields=[
                ('subject', models.CharField(db_collation='C', max_length=20, primary_key=True, serialize=False)),
                ('hour', models.DateTimeField()),
                ('hour_calls', models.PositiveBigIntegerField(default=0, verbose_name='calls this hour')),
                ('month', models.DateTimeField()),
                ('month_calls', models.PositiveBigIntegerField(default=0, verbose_name='calls this month')),
                ('announced_percent', models.PositiveSmallIntegerField(default=0, editable=False)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenants.tenant')),
            ],
            options={
                'verbose_name': 'meter',
                'ordering': ['subject'],
            },
        ),
        # Room on each page for the next version of a row: it then needs no new entry in the index (HOT).
        migrations.RunSQL("ALTER TABLE apikeys_meter SET (fillfactor = 50)", migrations.RunSQL.noop),
    ]
