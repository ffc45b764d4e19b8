"""Give two models the field's words for names. Their tables, and every stored value, keep the names that they have."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stoa_cp", "0005_cache_leases")]

    operations = [
        # Naming the table first makes the renaming one of Django's state alone.
        migrations.AlterModelTable("EventDispatch", "stoa_cp_eventdispatch"),
        migrations.RenameModel("EventDispatch", "OutboxEntry"),
        migrations.AlterModelTable("StoredAnswer", "stoa_cp_storedanswer"),
        migrations.RenameModel("StoredAnswer", "IdempotencyRecord"),
        migrations.AlterField(
            "outboxentry",
            "event",
            models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                primary_key=True,
                related_name="outbox_entry",
                serialize=False,
                to="stoa_cp.event",
            ),
        ),
        migrations.AlterModelOptions("outboxentry", options={"verbose_name_plural": "outbox entries"}),
    ]
