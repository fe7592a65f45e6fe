"""Who is a system account, and what mail to one and to an alias's programs is delivered by."""

import datetime
import django.contrib.postgres.fields
import django.core.validators
import mta.models.settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mta', '0009_destinations'),
    ]

    operations = [
        migrations.AddField(
            model_name='settings',
            name='aliasuser',
            field=models.CharField(default='nobody', help_text='the user that the programs and files of aliases are run and written as', max_length=32, validators=[mta.models.settings.validate_unprivileged]),
        ),
        migrations.AddField(
            model_name='settings',
            name='commandtimeout',
            field=models.DurationField(default=datetime.timedelta(seconds=900), help_text='a command that delivers is ended after this'),
        ),
        migrations.AddField(
            model_name='settings',
            name='defaultdelivery',
            field=models.TextField(default='./Maildir', help_text='the instructions for a user who has no file of his own, a line each', max_length=4000, validators=[mta.models.settings.validate_instructions]),
        ),
        migrations.AddField(
            model_name='settings',
            name='dotextension',
            field=models.CharField(choices=[('courier', '.courier'), ('qmail', '.qmail')], default='courier', help_text="the name of the users' instruction files", max_length=20),
        ),
        migrations.AddField(
            model_name='settings',
            name='dynamicdeliveries',
            field=models.BooleanField(default=True, help_text='a command of an instruction file may print further instructions'),
        ),
        migrations.AddField(
            model_name='settings',
            name='minuid',
            field=models.PositiveIntegerField(default=1000, help_text='users with a smaller number get no mail', validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AddField(
            model_name='settings',
            name='systemaccounts',
            field=models.BooleanField(default=False, help_text="the system's users get mail at this host's name, by their own instructions"),
        ),
        migrations.AlterField(
            model_name='alias',
            name='targets',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=1000), size=None),
        ),
    ]
