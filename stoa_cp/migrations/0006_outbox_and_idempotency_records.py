"""Rename two models to the usual words (outbox, idempotency record). Tables and stored values keep their names."""

from collections.abc import Mapping

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


RENAMED = {"eventdispatch": "outboxentry", "storedanswer": "idempotencyrecord"}


def rename_permissions(apps: StateApps, _editor: BaseDatabaseSchemaEditor, names: Mapping[str, str] = RENAMED) -> None:
    """Let operators keep their rights on the two pages: Django derives a right's name from the model's."""
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="stoa_cp")
    for before, after in names.items():
        for action in ("add", "change", "delete", "view"):
            permissions.filter(codename=f"{action}_{before}").update(codename=f"{action}_{after}")


def restore_permissions(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    rename_permissions(apps, editor, {after: before for before, after in RENAMED.items()})


class Migration(migrations.Migration):
    dependencies = [
        ("stoa_cp", "0005_cache_leases"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        # The table is named first, so that RenameModel changes Django's state and no table.
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
        migrations.RunPython(rename_permissions, restore_permissions),
        migrations.AlterModelOptions("outboxentry", options={"verbose_name_plural": "outbox entries"}),
    ]
