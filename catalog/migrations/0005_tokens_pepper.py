"""Which pepper a gateway token's digest needs. Null for all there are, until they are used.

An older release that rotates a token leaves the column as it is. The next use writes it.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0004_check_due_index")]

    operations = [
        migrations.AddField("gateway", "token_pepper", models.CharField(max_length=8, null=True, editable=False)),
    ]
