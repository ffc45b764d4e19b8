from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):

    dependencies = [
        ('stoa_cp', '0012_find_events'),
    ]

    operations = [
        migrations.CreateModel(
            name='WorkerMetric',
            fields=[
                ('pk', models.CompositePrimaryKey('metric', 'label', blank=True, editable=False, primary_key=True, serialize=False)),
                ('metric', models.CharField(db_collation='C', max_length=32)),
                ('label', models.CharField(db_collation='C', max_length=64)),
                ('value', models.FloatField()),
                ('changed_at', models.DateTimeField(db_default=Now())),
            ],
        ),
    ]
