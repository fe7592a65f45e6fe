"""Site filters, and what owners of mailboxes write. The history of policy does not hold what an owner
wrote: it is nobody else's."""

import datetime
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

TRIGGER = """
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION {function}();
"""

OWNERS_FUNCTION = """
CREATE FUNCTION mta_owner_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    new_version bigint;
    hidden text[] := '{text,sender}';
BEGIN
    IF TG_OP = 'UPDATE' AND OLD IS NOT DISTINCT FROM NEW THEN
        RETURN NULL;
    END IF;
    UPDATE mta_policystate SET version = version + 1 WHERE id = 1 RETURNING version INTO new_version;
    INSERT INTO mta_policychange (version, at, actor, "table", operation, before, after)
    VALUES (
        new_version, clock_timestamp(),
        coalesce(nullif(current_setting('courierweb.actor', true), ''), current_user),
        TG_TABLE_NAME, TG_OP,
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - hidden END,
        CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - hidden END
    );
    RETURN NULL;
END
$$;
"""
TABLES = {
    "mta_sitefilter": "mta_policy_changed",
    "mta_mailboxscript": "mta_owner_changed",
    "mta_senderlisting": "mta_owner_changed",
}
SQL = OWNERS_FUNCTION + "".join(
    TRIGGER.format(table=table, function=function) for table, function in TABLES.items()
)
UNDO = "".join(f"DROP TRIGGER policy_changed ON {table};" for table in TABLES) + (
    "DROP FUNCTION mta_owner_changed();"
)


class Migration(migrations.Migration):

    dependencies = [
        ('mta', '0013_programs_and_webhooks'),
    ]

    operations = [
        migrations.CreateModel(
            name='SiteFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='small letters, digits, hyphens and underscores; refusals name it', max_length=64, unique=True, validators=[django.core.validators.RegexValidator('\\A[a-z0-9][a-z0-9_-]*\\Z', 'small letters, digits, - and _')])),
                ('kind', models.CharField(max_length=64)),
                ('stage', models.CharField(choices=[('connect', 'Connection'), ('sender', 'Sender (MAIL)'), ('recipient', 'Recipient (RCPT)'), ('content', 'Content (end of DATA)')], default='content', max_length=9)),
                ('position', models.IntegerField(default=100, help_text='lower ones are asked first')),
                ('state', models.CharField(choices=[('off', 'Off'), ('log', 'Log only'), ('enforce', 'Enforced')], default='log', max_length=7)),
                ('esmtp', models.BooleanField(default=True, verbose_name='mail from other hosts')),
                ('submission', models.BooleanField(default=False, verbose_name='mail of users who signed in')),
                ('local', models.BooleanField(default=False, verbose_name='mail of programs on this host')),
                ('uucp', models.BooleanField(default=False, verbose_name='mail by UUCP')),
                ('mandatory', models.BooleanField(default=True, help_text='off: asked only about mailboxes whose own rules leave mail to the content')),
                ('on_trouble', models.CharField(choices=[('defer', 'Mail is told to come again later'), ('skip', 'Mail passes without it')], default='defer', max_length=5, verbose_name='when it fails')),
                ('timeout', models.DurationField(default=datetime.timedelta(seconds=30), validators=[django.core.validators.MinValueValidator(datetime.timedelta(seconds=1)), django.core.validators.MaxValueValidator(datetime.timedelta(seconds=3600))])),
                ('options', models.JSONField(blank=True, default=dict)),
                ('text', models.TextField(blank=True)),
                ('note', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='MailboxScript',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('moment', models.CharField(choices=[('message', 'Message'), ('recipient', 'Recipient')], default='message', max_length=9)),
                ('name', models.CharField(max_length=128, validators=[django.core.validators.RegexValidator('\\A[^\\x00-\\x1f\\x7f\\x80-\\x9f\\u2028\\u2029/]{1,128}\\Z', 'an unusable name')])),
                ('text', models.TextField(blank=True)),
                ('active', models.BooleanField(default=False)),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('mailbox', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='scripts', to='mta.mailbox')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='ScriptVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField(blank=True)),
                ('saved_at', models.DateTimeField(auto_now_add=True)),
                ('saved_by', models.CharField(blank=True, max_length=200)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('script', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='mta.mailboxscript')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='SenderListing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sender', models.CharField(max_length=320)),
                ('word', models.CharField(choices=[('allow', 'Allowed'), ('block', 'Blocked')], max_length=5)),
                ('added_at', models.DateTimeField(auto_now_add=True)),
                ('mailbox', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sender_listings', to='mta.mailbox')),
            ],
            options={
                'ordering': ['sender'],
            },
        ),
        migrations.AddConstraint(
            model_name='mailboxscript',
            constraint=models.UniqueConstraint(fields=('mailbox', 'moment', 'name'), name='script_name'),
        ),
        migrations.AddConstraint(
            model_name='mailboxscript',
            constraint=models.UniqueConstraint(condition=models.Q(('active', True)), fields=('mailbox', 'moment'), name='script_active'),
        ),
        migrations.AddConstraint(
            model_name='senderlisting',
            constraint=models.UniqueConstraint(fields=('mailbox', 'sender'), name='sender_listing'),
        ),
        migrations.RunSQL(SQL, UNDO),
    ]
