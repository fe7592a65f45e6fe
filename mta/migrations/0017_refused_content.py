import datetime
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mta', '0016_bundled_filters'),
    ]

    operations = [
        migrations.AddField(
            model_name='refusal',
            name='accepted_as',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='refusal',
            name='accepted_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='refusal',
            name='accepted_by',
            field=models.TextField(db_default=''),
        ),
        migrations.AddField(
            model_name='refusal',
            name='content_id',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='settings',
            name='keep_refused',
            field=models.DurationField(default=datetime.timedelta(0), help_text='how long the content of refused mail is kept, to be taken after all; 0 for not'),
        ),
        migrations.AddField(
            model_name='settings',
            name='keep_refused_octets',
            field=models.BigIntegerField(default=268435456, help_text='so much of it altogether, octets; the oldest goes first', validators=[django.core.validators.MinValueValidator(0)]),
        ),
        migrations.AddField(
            model_name='settings',
            name='keep_refused_of',
            field=models.CharField(choices=[('filters', "Filters (the site's and those of mailboxes)"), ('content', 'Every rule about the content')], default='filters', help_text='whose refusals at the end of a message leave its content', max_length=7),
        ),
        migrations.CreateModel(
            name='RefusedContent',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('expires_at', models.DateTimeField()),
                ('size', models.BigIntegerField()),
                ('envelope', models.JSONField()),
                ('content', models.BinaryField()),
            ],
            options={
                'indexes': [models.Index(fields=['expires_at'], name='refused_content_expires')],
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE mta_refusedcontent ALTER COLUMN content SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
    ]
