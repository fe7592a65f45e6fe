"""Step 7: what deliveries teach about addresses and domains (spec 4.8, 4.9).

An address from the outside that fails here is remembered, so that the next message for it is
refused at RCPT instead of bouncing at somebody who never wrote. A domain whose own servers refuse
MAIL FROM:<> is remembered, since what it sends could never be returned to it.

Both are hints: they are written after the outcomes, in a transaction of their own.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from mta.models import Attempt, Settings, State
from mta.protocol import address
from mta.queue import prepared
from mta.queue.commit import storable
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.outcomes import Settlement

BATCH = 2000


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last delivery to an address failed, for good or for now."""

    address: str
    permanent: bool
    reply: str


# A deferral that is repeated is not written again for an hour, as in Courier: each attempt of
# a long retry would otherwise cost a write.
_LEARN = """
WITH given AS (
    SELECT * FROM json_to_recordset(%(lessons)s::json) AS t(
        address text, message_id int8, permanent bool, reply text)
), gone AS (
    DELETE FROM mta_addresstrouble t USING given g
    WHERE t.address = g.address AND g.permanent IS NULL
)
INSERT INTO mta_addresstrouble AS t (address, permanent, reply, at)
SELECT g.address, g.permanent, g.reply, now()
FROM given g JOIN mta_message m ON m.id = g.message_id
WHERE g.permanent IS NOT NULL AND m.source = 'esmtp'
ORDER BY g.address
ON CONFLICT (address) DO UPDATE
SET permanent = excluded.permanent, reply = excluded.reply, at = excluded.at
WHERE excluded.permanent OR t.permanent OR t.at < now() - interval '1 hour'
"""

_TROUBLE_OF = """
SELECT t.address, t.permanent, t.reply FROM mta_addresstrouble t, mta_settings s
WHERE t.address = ANY(%(addresses)s::text[]) AND t.at > now() - s.backscatter_window
ORDER BY t.permanent DESC, t.at DESC LIMIT 1
"""

# What has expired counts anew. The change of policy is told to be nobody's.
_REFUSED = """
WITH actor AS MATERIALIZED (
    SELECT set_config('courierweb.actor', 'delivery', true)
), given AS (
    SELECT * FROM json_to_recordset(%(refusals)s::json) AS t(
        domain text, refusals int4, reply text, host text)
)
INSERT INTO mta_dsnrefuser AS d
    (domain, refusals, reply, host, first_at, last_at, expires_at, exempt)
SELECT g.domain, g.refusals, g.reply, g.host, now(), now(), now() + s.dsn_blacklist_time, false
FROM given g, actor, mta_settings s
WHERE s.dsn_blacklist
ORDER BY g.domain
ON CONFLICT (domain) DO UPDATE SET
    refusals = excluded.refusals + CASE WHEN d.expires_at > now() THEN d.refusals ELSE 0 END,
    first_at = CASE WHEN d.expires_at > now() THEN d.first_at ELSE now() END,
    reply = excluded.reply, host = excluded.host,
    last_at = excluded.last_at, expires_at = excluded.expires_at
"""

_FORGET_TROUBLE = """
DELETE FROM mta_addresstrouble WHERE address IN (
    SELECT address FROM mta_addresstrouble WHERE at < now() - %s LIMIT %s
    FOR UPDATE SKIP LOCKED)
"""

# Whom the administrator has exempted stays so.
_FORGET_REFUSERS = """
DELETE FROM mta_dsnrefuser WHERE id IN (
    SELECT id FROM mta_dsnrefuser WHERE expires_at < now() AND NOT exempt LIMIT %s
    FOR UPDATE SKIP LOCKED)
"""


def learn(batch: Batch, told: Sequence[tuple[LeasedRecipient, Settlement]]) -> None:
    """Remember what these settlements of a batch say about others. Raises DatabaseError."""
    lessons = _lessons(told)
    if lessons:
        prepared.execute(_LEARN, {"lessons": json.dumps(lessons)})
    refusals = _refusals(batch, told)
    if refusals:
        prepared.execute(_REFUSED, {"refusals": json.dumps(refusals)})


def trouble_of(addresses: Sequence[str]) -> Trouble | None:
    """The worst that happened to one of the addresses lately, None when nothing did."""
    rows = prepared.execute(_TROUBLE_OF, {"addresses": list(addresses)})
    return Trouble(*rows[0]) if rows else None


def forget(settings: Settings, deadline: float) -> int:
    """Delete what no longer counts, until `deadline` (monotonic); gives the number of rows."""
    deleted = _delete(_FORGET_TROUBLE, [settings.backscatter_window, BATCH], deadline)
    return deleted + _delete(_FORGET_REFUSERS, [BATCH], deadline)


def _lessons(told: Iterable[tuple[LeasedRecipient, Settlement]]) -> list[dict[str, object]]:
    """One for each address, the last one counts; `permanent` is null when all went well."""
    lessons: dict[str, dict[str, object]] = {}
    for recipient, settlement in told:
        if _is_our_own_trouble(settlement):
            continue
        good = settlement.result is Attempt.Result.SENT
        lessons[recipient.address] = {
            "address": storable(recipient.address),
            "message_id": settlement.message_id,
            "permanent": None if good else settlement.state is not State.QUEUED,
            "reply": storable(settlement.reply),
        }
    return list(lessons.values())


def _is_our_own_trouble(settlement: Settlement) -> bool:
    """An internal error, which says nothing about the address."""
    return (
        settlement.result is Attempt.Result.DEFERRED
        and not settlement.remote
        and (settlement.reply.startswith("451 4.3.0"))
    )


def _refusals(
    batch: Batch, told: Iterable[tuple[LeasedRecipient, Settlement]]
) -> list[dict[str, object]]:
    """The refused reports of each domain. Only the domain's own servers speak for it: a relay
    that refuses MAIL FROM:<> says nothing about those behind it."""
    refusals: dict[str, dict[str, object]] = {}
    messages: dict[str, set[int]] = {}
    for recipient, settlement in told:
        domain = address.split(recipient.address)[1]
        if recipient.reverse_path or batch.nexthop != f"mx:{domain}" or not _at_mail(settlement):
            continue
        messages.setdefault(domain, set()).add(settlement.message_id)
        refusals[domain] = {
            "domain": domain,
            "refusals": len(messages[domain]),
            "reply": storable(settlement.reply),
            "host": storable(settlement.remote),
        }
    return list(refusals.values())


def _at_mail(settlement: Settlement) -> bool:
    """Whether a server refused the null reverse-path itself, and not the recipient or content."""
    return settlement.result is Attempt.Result.BOUNCED and settlement.command.upper().startswith(
        "MAIL"
    )


def _delete(statement: str, values: list[Any], deadline: float) -> int:
    deleted = 0
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            deleted += cursor.rowcount
            if cursor.rowcount < BATCH:
                break
    return deleted
