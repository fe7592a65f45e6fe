"""Programs and webhooks that routes hand mail to, as rows of policy."""

import datetime
import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models


TRIGGER = """
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION mta_policy_changed();
"""

TABLES = ["mta_program", "mta_webhook"]
SQL = "".join(TRIGGER.format(table=table) for table in TABLES)
UNDO = "".join(f"DROP TRIGGER policy_changed ON {table};" for table in TABLES)


class Migration(migrations.Migration):

    dependencies = [
        ('mta', '0012_destination_retention'),
    ]

    operations = [
        migrations.CreateModel(
            name='Program',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='small letters, digits, hyphens and underscores', max_length=64, unique=True)),
                ('timeout', models.DurationField(default=datetime.timedelta(seconds=60), help_text='then it is ended, and tried again later', validators=[django.core.validators.MinValueValidator(datetime.timedelta(seconds=1)), django.core.validators.MaxValueValidator(datetime.timedelta(seconds=3600))])),
                ('enabled', models.BooleanField(default=True, help_text='off: its mail waits in the queue')),
                ('note', models.CharField(blank=True, max_length=200)),
                ('argv', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=2000), help_text='the program by its absolute path, then its arguments; they may hold ${domain}, ${extension}, ${mailbox}, ${queue_id}, ${recipient}, ${sender}, ${size}, ${user}', size=None, verbose_name='arguments')),
                ('user', models.CharField(default='nobody', help_text='an account of the system; never root', max_length=64, verbose_name='runs as')),
                ('memory', models.PositiveBigIntegerField(default=0, help_text='octets; 0 for no limit')),
                ('cpu', models.DurationField(default=datetime.timedelta(0), help_text='0 for as long as it may run', validators=[django.core.validators.MaxValueValidator(datetime.timedelta(seconds=3600))], verbose_name='processor time')),
                ('separately', models.BooleanField(default=True, help_text='else one for all recipients of a message, who then share its result', verbose_name='one run for each recipient')),
                ('crlf', models.BooleanField(default=False, verbose_name='CRLF line ends')),
                ('return_path', models.BooleanField(default=True, verbose_name='add Return-Path')),
                ('delivered_to', models.BooleanField(default=True, verbose_name='add Delivered-To')),
                ('from_line', models.BooleanField(default=False, help_text='as in an mbox', verbose_name='begin with a From_ line')),
            ],
            options={
                'ordering': ['name'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='small letters, digits, hyphens and underscores', max_length=64, unique=True)),
                ('timeout', models.DurationField(default=datetime.timedelta(seconds=60), help_text='then it is ended, and tried again later', validators=[django.core.validators.MinValueValidator(datetime.timedelta(seconds=1)), django.core.validators.MaxValueValidator(datetime.timedelta(seconds=3600))])),
                ('enabled', models.BooleanField(default=True, help_text='off: its mail waits in the queue')),
                ('note', models.CharField(blank=True, max_length=200)),
                ('url', models.CharField(help_text='https://..., or http://... in a private network', max_length=500, verbose_name='address')),
                ('secret', models.TextField(blank=True, db_column='password', default='', editable=False)),
                ('form', models.CharField(choices=[('raw', 'The message as it is, the envelope in header fields'), ('json', 'A JSON object with the envelope and the message in base64')], default='raw', max_length=4)),
                ('sizelimit', models.PositiveBigIntegerField(default=0, help_text='larger ones fail; 0 for any size', verbose_name='largest message it takes')),
                ('private', models.BooleanField(default=False, help_text='on this machine, in our own network, or where a cloud keeps its metadata', verbose_name='may be in a private network')),
            ],
            options={
                'ordering': ['name'],
                'abstract': False,
            },
        ),
        migrations.AlterField(
            model_name='route',
            name='relay',
            field=models.CharField(blank=True, help_text='a host, an [address], "discard" to drop the mail, lmtp:HOST[:PORT], lmtp:/SOCKET, pipe:PROGRAM, http:WEBHOOK, uucp:NODE; empty for the MX', max_length=255),
        ),
        migrations.RunSQL(SQL, UNDO),
    ]
