"""Load limits as rows of policy, and the state of each destination."""

import django.core.validators
import django.utils.timezone
from django.db import migrations, models


# Each claim writes a destination's row: it stays small when the dead rows go soon.
SQL = """
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON mta_deliverylimit
FOR EACH ROW EXECUTE FUNCTION mta_policy_changed();
ALTER TABLE mta_destination SET (fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
"""

UNDO = "DROP TRIGGER policy_changed ON mta_deliverylimit;"


class Migration(migrations.Migration):

    dependencies = [
        ('mta', '0008_routing'),
    ]

    operations = [
        migrations.CreateModel(
            name='DeliveryLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(choices=[('transport', 'A transport as a whole'), ('destination', 'A destination'), ('mailbox', 'A mailbox')], default='destination', max_length=11)),
                ('transport', models.CharField(default='esmtp', max_length=20)),
                ('nexthop', models.CharField(default='*', max_length=500, verbose_name='destination or mailbox')),
                ('simultaneous', models.PositiveIntegerField(blank=True, help_text='deliveries at once', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('per_minute', models.PositiveIntegerField(blank=True, help_text='messages a minute', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('note', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'ordering': ['transport', 'scope', 'nexthop'],
                'constraints': [models.UniqueConstraint(fields=('transport', 'scope', 'nexthop'), name='delivery_limit_of')],
            },
        ),
        migrations.CreateModel(
            name='Destination',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('transport', models.CharField(max_length=20)),
                ('nexthop', models.TextField()),
                ('state', models.CharField(choices=[('ok', 'OK'), ('throttled', 'Throttled'), ('down', 'Down'), ('paused', 'Paused')], db_default='ok', default='ok', max_length=9)),
                ('concurrency', models.IntegerField(db_default=2, default=2)),
                ('failures', models.IntegerField(db_default=0, default=0)),
                ('next_probe', models.DateTimeField(null=True)),
                ('last_ok_at', models.DateTimeField(null=True)),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('served_at', models.DateTimeField(null=True)),
                ('last_reply', models.TextField(db_default='', default='')),
                ('tokens', models.FloatField(null=True)),
                ('tokens_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('transport', 'nexthop'), name='destination_hop')],
            },
        ),
        migrations.RunSQL(SQL, UNDO),
    ]
