"""How long a destination is remembered that gets no more mail."""

import datetime

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("mta", "0011_uucp"),
    ]

    operations = [
        migrations.AddField(
            model_name="settings",
            name="keep_destinations",
            field=models.DurationField(
                default=datetime.timedelta(days=30),
                help_text="how long it is remembered how a destination did that gets no more mail",
            ),
        ),
    ]
