"""The portal lists what a user has sent."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mta", "0015_mailbox_memory")]

    operations = [
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("auth_user", ""), _negated=True),
                fields=["auth_user", "created_at"],
                name="message_auth_user",
            ),
        ),
    ]
