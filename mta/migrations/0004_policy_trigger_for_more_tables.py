"""The policy version trigger for the tables of 0003; no secret of a mailbox is in the history."""

from django.db import migrations

POLICY_TABLES = [
    "mta_badmailhost",
    "mta_badsender",
    "mta_dnslist",
    "mta_dsnrefuser",
    "mta_freemaildomain",
    "mta_listener",
    "mta_rulestate",
    "mta_sendergrant",
    "mta_spamtrap",
]

FUNCTION = """
CREATE OR REPLACE FUNCTION mta_policy_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    new_version bigint;
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
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - '{password,scram}'::text[] END,
        CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - '{password,scram}'::text[] END
    );
    RETURN NULL;
END
$$;
"""

TRIGGER = """
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION mta_policy_changed();
"""

DROP = "".join(f"DROP TRIGGER policy_changed ON {table};" for table in POLICY_TABLES)


class Migration(migrations.Migration):
    dependencies = [("mta", "0003_esmtp_policy")]

    operations = [
        migrations.RunSQL(
            FUNCTION + "".join(TRIGGER.format(table=table) for table in POLICY_TABLES), DROP
        ),
    ]
