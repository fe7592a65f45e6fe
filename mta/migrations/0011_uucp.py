"""The neighbours that take mail by UUCP, and the settings of the transport."""

import mta.models.settings
from django.db import migrations, models


TRIGGER = """
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON mta_uucpneighbor
FOR EACH ROW EXECUTE FUNCTION mta_policy_changed();
"""

UNDO = "DROP TRIGGER policy_changed ON mta_uucpneighbor;"


class Migration(migrations.Migration):

    dependencies = [
        ('mta', '0010_accounts'),
    ]

    operations = [
        migrations.CreateModel(
            name='UucpNeighbor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.CharField(help_text="the host's node name, or a path: food!fruits", max_length=255, unique=True)),
                ('flags', models.CharField(blank=True, default='', help_text='F: on from there to anywhere; G: the same, and rmail runs there; R: rmail runs there for the paths listed behind it', max_length=3)),
                ('note', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'verbose_name': 'UUCP neighbour',
                'verbose_name_plural': 'UUCP neighbours',
                'ordering': ['path'],
            },
        ),
        migrations.AddField(
            model_name='settings',
            name='uucpme',
            field=models.CharField(blank=True, default='', help_text="our node name in UUCP; empty for the first label of this host's name", max_length=64, validators=[mta.models.settings.validate_node]),
        ),
        migrations.AddField(
            model_name='settings',
            name='uucprewriteheaders',
            field=models.BooleanField(default=False, help_text='addresses in headers become bang paths for UUCP, and back'),
        ),
        migrations.AddField(
            model_name='settings',
            name='uuxflags',
            field=models.CharField(blank=True, default='-j -g C', help_text='options of uux', max_length=200, validators=[mta.models.settings.validate_uux_flags]),
        ),
        migrations.RunSQL(TRIGGER, UNDO),
    ]
