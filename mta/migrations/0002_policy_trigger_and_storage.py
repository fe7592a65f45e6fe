"""What models cannot say: the policy version trigger, storage and vacuum settings.

A statement on a policy table, whoever makes it, raises the version in its own transaction and
writes one PolicyChange per row. The row lock on mta_policystate puts the versions in the order
of their commits.
"""

from django.db import migrations

POLICY_TABLES = [
    "mta_domain",
    "mta_mailbox",
    "mta_alias",
    "mta_accessrule",
    "mta_route",
    "mta_settings",
]

FUNCTION = """
CREATE FUNCTION mta_policy_changed() RETURNS trigger LANGUAGE plpgsql AS $$
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
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'password' END,
        CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'password' END
    );
    RETURN NULL;
END
$$;
INSERT INTO mta_policystate (id, version) VALUES (1, 1);
"""

TRIGGER = """
CREATE TRIGGER policy_changed AFTER INSERT OR UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION mta_policy_changed();
"""

# Content is stored as it is: mail compresses poorly, and the CPU is wanted elsewhere.
# The queue tables change all the time: vacuum them early and leave room in their pages.
STORAGE = """
ALTER TABLE mta_content ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE mta_recipient SET (fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);
ALTER TABLE mta_message SET (fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE mta_content SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_threshold = 2000);
ALTER TABLE mta_lease SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE mta_tally SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
CREATE SEQUENCE mta_node_seq MINVALUE 0 MAXVALUE 1023 CYCLE;
"""

DROP = """
DROP SEQUENCE mta_node_seq;
DELETE FROM mta_policystate;
DROP FUNCTION mta_policy_changed() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("mta", "0001_initial")]

    operations = [
        migrations.RunSQL(
            FUNCTION + "".join(TRIGGER.format(table=table) for table in POLICY_TABLES) + STORAGE,
            DROP,
        ),
    ]
