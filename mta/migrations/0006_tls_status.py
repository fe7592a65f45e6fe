"""TLS with other hosts: counts of what became of it, fetched policies, and their settings."""

import datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mta', '0005_addresses'),
    ]

    operations = [
        migrations.AddField(
            model_name='settings',
            name='dnssec',
            field=models.CharField(choices=[('off', "Nobody's: no DANE"), ('loopback', 'Name servers on this machine'), ('always', 'All our name servers; the way to them is safe')], default='loopback', help_text='whose word on DNSSEC counts, which DANE depends on', max_length=10),
        ),
        migrations.AddField(
            model_name='settings',
            name='keep_tls',
            field=models.DurationField(default=datetime.timedelta(days=30), help_text='how long counts of TLS with other hosts are kept'),
        ),
        migrations.AddField(
            model_name='settings',
            name='mtasts',
            field=models.BooleanField(default=True, help_text='honour the MTA-STS policies of other domains'),
        ),
        migrations.CreateModel(
            name='StsPolicy',
            fields=[
                ('domain', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('record_id', models.CharField(max_length=32)),
                ('policy', models.TextField()),
                ('fetched_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('tried_at', models.DateTimeField()),
                ('failure', models.TextField()),
            ],
            options={
                'verbose_name': 'MTA-STS policy',
                'verbose_name_plural': 'MTA-STS policies',
                'indexes': [models.Index(fields=['expires_at'], name='sts_policy_expires')],
            },
        ),
        migrations.CreateModel(
            name='TlsTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('domain', models.CharField(max_length=255)),
                ('mx_host', models.CharField(max_length=255)),
                ('policy', models.CharField(max_length=20)),
                ('word', models.CharField(max_length=40)),
                ('count', models.BigIntegerField()),
                ('detail', models.TextField()),
                ('last_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'TLS tallies',
                'indexes': [models.Index(fields=['last_at'], name='tls_tally_last')],
                'constraints': [models.UniqueConstraint(fields=('domain', 'day', 'mx_host', 'policy', 'word'), name='tls_tally_once')],
            },
        ),
    ]
