"""Which pepper a secret's digest needs. Null for all there are, until they are used; an older release leaves it out."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0010_key_restrictions_checked")]

    operations = [
        migrations.AddField("keysecret", "pepper", models.CharField(max_length=8, null=True, editable=False)),
    ]
