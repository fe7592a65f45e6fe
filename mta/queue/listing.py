"""Reading the live queue: filtered pages, destinations, and whole messages as mailq shows them.

Every query walks the partial index of live recipients (`recipient_live`), so its cost depends
on the queue and not on the history. What a person typed only ever travels as a parameter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from mta.models import Message
from mta.protocol.queue_id import encode_queue_id

# Written out, so that the planner sees the predicate of the partial index.
LIVE = "r.state IN ('queued', 'delivering', 'held')"

NULL_SENDER = "<>"


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """What rows of the queue to show or to act on; an empty field does not narrow.

    `sender`, `recipient` and `reply` match any part, in any case; a sender "<>" is the null
    reverse-path. `destination` is a next hop, a transport's name or a recipient domain, whole.
    """

    state: str = ""
    sender: str = ""
    recipient: str = ""
    destination: str = ""
    reply: str = ""
    older_than: timedelta | None = None

    def conditions(self) -> tuple[list[str], list[Any]]:
        """SQL conditions on `r` (recipient) and `m` (message), and their parameters."""
        sql: list[str] = []
        values: list[Any] = []

        def add(condition: str, *parameters: Any) -> None:
            sql.append(condition)
            values.extend(parameters)

        if self.state:
            add("r.state LIKE %s", like_literal(self.state))
        if self.sender == NULL_SENDER:
            add("m.reverse_path = ''")
        elif self.sender:
            add("m.reverse_path ILIKE %s", contains(self.sender))
        if self.recipient:
            add("r.address ILIKE %s", contains(self.recipient))
        if self.destination:
            whole = like_literal(self.destination)
            add(
                "(r.nexthop LIKE %s OR r.transport LIKE %s OR r.address LIKE %s)",
                whole,
                whole,
                f"%@{whole.lower()}",
            )
        if self.reply:
            add("r.last_reply ILIKE %s", contains(self.reply))
        if self.older_than is not None:
            add("m.created_at < now() - %s", self.older_than)
        return sql, values


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One live recipient with its message. `size` is in octets."""

    recipient_id: int
    message_id: int
    created_at: datetime
    size: int
    reverse_path: str
    address: str
    state: str
    transport: str
    nexthop: str
    attempts: int
    next_attempt: datetime
    expires_at: datetime
    last_reply: str

    @property
    def queue_id(self) -> str:
        return encode_queue_id(self.message_id)

    @property
    def cursor(self) -> str:
        """What `queue_page(after=...)` takes to go on behind this row."""
        return f"{self.next_attempt.isoformat()}_{self.recipient_id}"


@dataclass(frozen=True, slots=True)
class QueueGroup:
    """The live recipients that wait for one next hop of one transport.

    `oldest` is when the oldest message came in, `attempts` the largest number of attempts,
    `last_reply` one sample reply, "" when none was tried.
    """

    transport: str
    nexthop: str
    queued: int
    delivering: int
    held: int
    oldest: datetime
    attempts: int
    last_reply: str

    @property
    def total(self) -> int:
        return self.queued + self.delivering + self.held


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """A recipient in whatever state, with its last reply and its own return path ("" for that of
    the message)."""

    id: int
    address: str
    original_recipient: str
    state: str
    transport: str
    nexthop: str
    attempts: int
    next_attempt: datetime
    expires_at: datetime
    finished_at: datetime | None
    last_reply: str
    last_remote: str
    report: str
    return_path: str


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message that is not finished, with all its recipients, finished ones too."""

    message_id: int
    created_at: datetime
    size: int
    reverse_path: str
    auth_user: str
    recipients: tuple[RecipientRow, ...]

    @property
    def queue_id(self) -> str:
        return encode_queue_id(self.message_id)


def like_literal(text: str) -> str:
    """The text for a LIKE pattern that matches just it. NUL is in no column, so it is dropped."""
    return text.replace("\x00", "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def contains(text: str) -> str:
    return f"%{like_literal(text)}%"


def fetch(sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def queue_page(
    queue_filter: QueueFilter, after: str | None = None, limit: int = 50
) -> list[QueueRow]:
    """Live recipients in the order of their next attempt; `after` is the last row's cursor.

    Raises ValueError when `after` is not a cursor.
    """
    conditions, values = queue_filter.conditions()
    if after:
        conditions.append("(r.next_attempt, r.id) > (%s, %s)")
        values.extend(_parse_cursor(after))
    where = " AND ".join([LIVE, *conditions])
    rows = fetch(
        "SELECT r.id, m.id, m.created_at, m.size, m.reverse_path, r.address, r.state,"
        " r.transport, r.nexthop, r.attempts, r.next_attempt, r.expires_at, r.last_reply"
        " FROM mta_recipient r JOIN mta_message m ON m.id = r.message_id"
        f" WHERE {where} ORDER BY r.next_attempt, r.id LIMIT %s",
        [*values, limit],
    )
    return [QueueRow(*row) for row in rows]


def queue_groups(limit: int = 50) -> list[QueueGroup]:
    """The destinations that most recipients wait for, largest first."""
    rows = fetch(
        "SELECT r.transport, r.nexthop,"
        " count(*) FILTER (WHERE r.state = 'queued'),"
        " count(*) FILTER (WHERE r.state = 'delivering'),"
        " count(*) FILTER (WHERE r.state = 'held'),"
        " min(m.created_at), max(r.attempts), max(r.last_reply)"
        " FROM mta_recipient r JOIN mta_message m ON m.id = r.message_id"
        f" WHERE {LIVE} GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT %s",
        [limit],
    )
    return [QueueGroup(*row) for row in rows]


def queue_counts() -> dict[str, int]:
    """Live recipients by state; every live state is there."""
    counts = {"queued": 0, "delivering": 0, "held": 0}
    counts.update(fetch(f"SELECT r.state, count(*) FROM mta_recipient r WHERE {LIVE} GROUP BY 1"))
    return counts


def queued_messages(slice_size: int = 1000) -> Iterator[QueuedMessage]:
    """Every message that is not finished, oldest first, read `slice_size` at a time."""
    ids = [
        row[0]
        for row in fetch(
            "SELECT m.id FROM mta_message m WHERE m.id IN"
            f" (SELECT r.message_id FROM mta_recipient r WHERE {LIVE})"
            " ORDER BY m.created_at, m.id"
        )
    ]
    for start in range(0, len(ids), slice_size):
        yield from _messages(ids[start : start + slice_size])


def recipients_of(message_ids: list[int]) -> dict[int, list[RecipientRow]]:
    """All recipients of these messages, by message id, in the order they were given."""
    found: dict[int, list[RecipientRow]] = {}
    rows = fetch(
        "SELECT message_id, id, address, original_recipient, state, transport, nexthop,"
        " attempts, next_attempt, expires_at, finished_at, last_reply, last_remote, report,"
        " return_path FROM mta_recipient WHERE message_id = ANY(%s) ORDER BY id",
        [message_ids],
    )
    for message_id, *columns in rows:
        found.setdefault(message_id, []).append(RecipientRow(*columns))
    return found


def live_count(most: int) -> int:
    """The number of live recipients, counted to `most` + 1 and no further."""
    ((count,),) = fetch(
        f"SELECT count(*) FROM (SELECT 1 FROM mta_recipient r WHERE {LIVE} LIMIT %s) AS counted",
        [most + 1],
    )
    return int(count)


def oldest_live() -> Message | None:
    """The message that has been in the queue longest.

    Ids ascend with time. The sum keeps the planner from walking the index of all recipients,
    finished ones too, in search of the first live one.
    """
    ((message_id,),) = fetch(f"SELECT min(r.message_id + 0) FROM mta_recipient r WHERE {LIVE}")
    return Message.objects.filter(pk=message_id).first() if message_id is not None else None


def content_head(message_id: int, octets: int) -> bytes:
    """The first octets of a stored message, without reading the rest; b"" when it is gone."""
    rows = fetch(
        "SELECT substring(data FROM 1 FOR %s) FROM mta_content WHERE message_id = %s",
        [octets, message_id],
    )
    return bytes(rows[0][0]) if rows else b""


def _messages(ids: list[int]) -> Iterator[QueuedMessage]:
    recipients = recipients_of(ids)
    rows = fetch(
        "SELECT id, created_at, size, reverse_path, auth_user FROM mta_message"
        " WHERE id = ANY(%s) ORDER BY created_at, id",
        [ids],
    )
    for message_id, created_at, size, reverse_path, auth_user in rows:
        members = tuple(recipients.get(message_id, ()))
        yield QueuedMessage(message_id, created_at, size, reverse_path, auth_user, members)


def _parse_cursor(text: str) -> tuple[datetime, int]:
    at, _, number = text.rpartition("_")
    return datetime.fromisoformat(at), int(number)
