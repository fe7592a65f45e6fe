"""What must be true of the database after a fuzz, whatever was said."""

from collections.abc import Mapping

from django.db import connection

from mta.policy.decision import Stage

# What is wrong -> a query that counts such rows.
_MESSAGES: Mapping[str, str] = {
    "messages without recipients": """
        SELECT count(*) FROM mta_message m
        WHERE NOT EXISTS (SELECT FROM mta_recipient r WHERE r.message_id = m.id)""",
    "messages without content, or with another size": """
        SELECT count(*) FROM mta_message m LEFT JOIN mta_content c ON c.message_id = m.id
        WHERE c.data IS NULL OR octet_length(c.data) <> m.size""",
    "messages without exactly one event of their acceptance": """
        SELECT count(*) FROM mta_message m WHERE 1 <> (
            SELECT count(*) FROM mta_event e WHERE e.message_id = m.id AND e.kind = 'accepted')""",
    "messages with a wrong count of pending recipients": """
        SELECT count(*) FROM mta_message m WHERE pending <> (
            SELECT count(*) FROM mta_recipient r WHERE r.message_id = m.id
            AND r.state IN ('queued', 'delivering', 'held'))""",
    "contents without a message": """
        SELECT count(*) FROM mta_content c
        WHERE NOT EXISTS (SELECT FROM mta_message m WHERE m.id = c.message_id)""",
    "recipients under a lease": "SELECT count(*) FROM mta_recipient WHERE lease_id IS NOT NULL",
    "recipients in a state that acceptance does not give": """
        SELECT count(*) FROM mta_recipient WHERE state NOT IN ('queued', 'expanded', 'failed')""",
    "recipients who are queued for nowhere": """
        SELECT count(*) FROM mta_recipient
        WHERE state = 'queued' AND (transport = '' OR next_attempt IS NULL)""",
}
_REFUSALS: Mapping[str, str] = {
    "refusals at no stage": "SELECT count(*) FROM mta_refusal WHERE NOT stage = ANY(%(stages)s)",
    "refusals with a reply that refuses nothing": """
        SELECT count(*) FROM mta_refusal WHERE code NOT BETWEEN 400 AND 599
        OR status !~ '^[45]\\.[0-9]{1,3}\\.[0-9]{1,3}$' OR left(status, 1) <> left(code::text, 1)
        OR text = ''""",
    "refusals without a rule, or a trace that ends with it": """
        SELECT count(*) FROM mta_refusal WHERE rule = '' OR enforced AND (
            trace->-1->>'rule' IS DISTINCT FROM rule OR trace->-1->>'matched' <> 'true')""",
    "refusals of nobody": """
        SELECT count(*) FROM mta_refusal
        WHERE NOT client_ip::inet <<= '127.0.0.0/8' AND client_ip <> '::1'""",
    "refusals that were not counted, or counted and not kept": """
        SELECT abs((SELECT count(*) FROM mta_refusal WHERE enforced)
            - (SELECT coalesce(sum(count), 0) FROM mta_tally WHERE kind = 'refused'))""",
}
_FOREIGN = """
    SELECT count(*) FROM mta_recipient r JOIN mta_message m ON m.id = r.message_id
    WHERE m.auth_user = '' AND r.transport = 'esmtp'
    AND split_part(reverse(r.address), '@', 1) <> reverse(%(backup)s)"""
_UNDELIVERED = """
    SELECT count(*) FROM mta_recipient WHERE transport = 'local'
    AND state NOT IN ('delivered', 'failed')"""


def broken(backup: str) -> list[str]:
    """Every rule that rows break, with their number. `backup` is the only domain of others that
    mail of strangers may be queued for."""
    queries = {**_MESSAGES, **_REFUSALS, "recipients relayed for strangers": _FOREIGN}
    values = {"stages": [stage.value for stage in Stage], "backup": backup}
    counts = {what: _count(query, values) for what, query in queries.items()}
    return [f"{count} {what}" for what, count in counts.items() if count]


def undelivered() -> int:
    """Recipients of the local transport who are not finished after it has run."""
    return _count(_UNDELIVERED, {})


def sizes() -> dict[str, int]:
    """How much there was to look at."""
    tables = {"messages": "mta_message", "recipients": "mta_recipient", "refusals": "mta_refusal"}
    return {what: _count(f"SELECT count(*) FROM {table}", {}) for what, table in tables.items()}


def _count(query: str, values: Mapping[str, object]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return int(cursor.fetchone()[0])
