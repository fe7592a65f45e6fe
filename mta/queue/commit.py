"""Step 4, the seam: messages become durable here, and only then is anybody told so.

A batch of messages with their recipients, contents and first events goes in by one statement,
with synchronous_commit on. When `commit` returns, they are on disk; when it raises, none of
them is. (Inside a caller's transaction that holds once the caller has committed.)
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError, OperationalError, connection, transaction

from mta.models import Message, State
from mta.protocol.envelope import Envelope, Recipient
from mta.protocol.reply import Reply
from mta.queue import prepared
from mta.queue.loop_connection import LoopConnection, Statement


@dataclass(frozen=True, slots=True)
class RoutedRecipient:
    """A recipient with its transport and next hop; `state` is queued, held or discarded as a filter
    wants it, expanded for a list that was replaced by its members, or failed for one who refused
    what others took. `warn_at` is None
    when no delay is ever reported."""

    address: str
    transport: str
    nexthop: str
    next_attempt: datetime
    expires_at: datetime
    warn_at: datetime | None = None
    notify: str = ""
    original_recipient: str = ""
    return_path: str = ""
    state: State = State.QUEUED
    last_reply: str = ""
    report: str = ""


def failed_recipient(recipient: Recipient, reply: Reply, at: datetime) -> RoutedRecipient:
    """One who refused the message while others took it, and whose client could not be told so:
    the sender gets a report, unless NOTIFY says otherwise (RFC 3461 4.1)."""
    wanted = not recipient.notify or "FAILURE" in recipient.notify.split(",")
    return RoutedRecipient(
        address=recipient.address,
        transport="",
        nexthop="",
        next_attempt=at,
        expires_at=at,
        notify=recipient.notify,
        original_recipient=recipient.original_recipient,
        state=State.FAILED,
        last_reply=str(reply),
        report="failed" if wanted else "",
    )


@dataclass(frozen=True, slots=True)
class Holding:
    """By which filter a message is held, and until when: None for until somebody releases it."""

    filter: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Submission:
    """One message ready for the queue. `accepted` is the data of its first event, JSON."""

    id: int
    at: datetime
    envelope: Envelope
    recipients: tuple[RoutedRecipient, ...]
    content: bytes
    policy_version: int
    eight_bit: bool = False
    header_message_id: str = ""
    subject: str = ""
    origin: str | None = None
    accepted: dict[str, Any] = field(default_factory=dict)
    holding: Holding | None = None


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """Something turned away in a session, for the history. `reverse_path` is None before MAIL.

    It is not `enforced` when the rule only logs. `message_id` is set when other recipients of the
    message took it, `content_id` when its content is kept (`mta.queue.refused_content`).
    """

    at: datetime
    stage: str
    client_ip: str
    helo: str
    auth_user: str
    reverse_path: str | None
    recipient: str
    code: int
    status: str
    text: str
    rule: str
    policy_version: int
    trace: list[dict[str, Any]]
    session: dict[str, Any]
    enforced: bool = True
    message_id: int | None = None
    content_id: int | None = None


class AlreadyQueued(Exception):
    """A message of this origin is in the queue already; `message_id` is its id."""

    def __init__(self, message_id: int) -> None:
        super().__init__(f"already queued as message {message_id}")
        self.message_id = message_id


def commit(submissions: Sequence[Submission], refusals: Sequence[RefusalRecord] = ()) -> None:
    """Make all of it durable at once. Raises DatabaseError; then nothing is stored."""
    if submissions or refusals:
        _insert(submissions, refusals)


def commit_each(
    submissions: Sequence[Submission], refusals: Sequence[RefusalRecord] = ()
) -> list[DatabaseError | None]:
    """`commit`, but one bad message does not take its neighbours with it.

    Gives one result per submission: None when it is durable, else the error. When the database
    itself is in trouble every submission gets that error.
    """
    try:
        commit(submissions, refusals)
        return [None] * len(submissions)
    except OperationalError as error:
        return [error] * len(submissions)
    except DatabaseError as error:
        if len(submissions) == 1 and not refusals:
            return [error]
    results = [_commit_one(submission) for submission in submissions]
    for refusal in refusals:
        _commit_refusal(refusal)
    return results


def enqueue(submission: Submission) -> None:
    """`commit` for mail made inside: with an origin it happens once, whoever repeats it.

    May run inside a caller's transaction. Raises AlreadyQueued.
    """
    assert submission.origin is not None
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [submission.origin]
            )
        existing = Message.objects.filter(origin=submission.origin).values_list("id", flat=True)
        if existing:
            raise AlreadyQueued(existing[0])
        commit([submission])


def _commit_one(submission: Submission) -> DatabaseError | None:
    try:
        commit([submission])
    except DatabaseError as error:
        return error
    return None


def _commit_refusal(refusal: RefusalRecord) -> None:
    """History only: a refusal that cannot be stored has been said to the client all the same."""
    try:
        commit([], [refusal])
    except DatabaseError:
        return


def _insert(submissions: Sequence[Submission], refusals: Sequence[RefusalRecord]) -> None:
    prepared.execute(_INSERT, _values(submissions, refusals))


async def commit_from_loop(
    database: LoopConnection,
    submissions: Sequence[Submission],
    refusals: Sequence[RefusalRecord] = (),
) -> None:
    """`commit` for the event loop of the ingress. Raises DatabaseError; an OperationalError means
    that it is not known whether it is stored."""
    await database.execute(_STATEMENT, _values(submissions, refusals))


def _values(
    submissions: Sequence[Submission], refusals: Sequence[RefusalRecord]
) -> dict[str, str | bytes | int | float]:
    """One statement: the process and the database exchange one round trip for a whole batch.

    Rows travel as JSON, because that is made and read in C on both sides; contents travel as
    they are, one after another, and are cut apart by their sizes.
    """
    now = (submissions[0].at if submissions else refusals[0].at).timestamp()
    messages = [_message_row(each, start) for each, start in _starts(submissions)]
    recipients = [_recipient_row(each, row) for each in submissions for row in each.recipients]
    return {
        "messages": json.dumps(messages),
        "contents": b"".join([each.content for each in submissions]),
        "recipients": json.dumps(recipients),
        "refusals": json.dumps([_refusal_row(each) for each in refusals]),
        "now": now,
        "accepted": len(submissions),
        "refused": sum(refusal.enforced for refusal in refusals),
    }


_INSERT = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(messages)s::json) AS t(
        id int8, at float8, pending int4, reverse_path text, source text, auth_user text,
        client_ip text, helo text, ret text, envid text, smtputf8 bool, eight_bit bool, verp bool,
        requiretls bool, size int8,
        header_message_id text, subject text, origin text, version int8, accepted jsonb,
        start int4, held_by text, held_until float8)
), message AS (
    INSERT INTO mta_message (id, created_at, finished_at, pending, reverse_path, source,
        auth_user, client_ip, helo, ret, envid, smtputf8, eight_bit, verp, requiretls, size,
        header_message_id, subject, origin, policy_version)
    SELECT id, to_timestamp(at), CASE WHEN pending = 0 THEN to_timestamp(at) END, pending,
        reverse_path, source, auth_user, client_ip, helo, ret, envid, smtputf8, eight_bit, verp,
        requiretls, size, header_message_id, subject, origin, version
    FROM given
), content AS (
    INSERT INTO mta_content (message_id, data)
    SELECT id, substring(%(contents)s::bytea FROM start FOR size::int4) FROM given
), event AS (
    INSERT INTO mta_event (at, message_id, kind, data)
    SELECT to_timestamp(at), id, 'accepted', accepted FROM given
), release AS (
    INSERT INTO mta_timedrelease AS t (message_id, at, filter)
    SELECT id, to_timestamp(held_until), held_by FROM given WHERE held_until IS NOT NULL
    ON CONFLICT (message_id) DO UPDATE SET at = greatest(t.at, excluded.at)
), by_hand AS (
    DELETE FROM mta_timedrelease t USING given g
    WHERE t.message_id = g.id AND g.held_by IS NOT NULL AND g.held_until IS NULL
), recipient AS (
    INSERT INTO mta_recipient (message_id, address, original_recipient, return_path, notify, state,
        transport, nexthop, next_attempt, expires_at, warn_at, last_reply, report, finished_at,
        attempts, last_remote, last_command)
    SELECT message_id, address, original_recipient, return_path, notify, state, transport, nexthop,
        to_timestamp(next_attempt), to_timestamp(expires_at), to_timestamp(warn_at), last_reply,
        report, to_timestamp(finished_at), 0, '', ''
    FROM json_to_recordset(%(recipients)s::json) AS t(
        message_id int8, address text, original_recipient text, return_path text, notify text,
        state text,
        transport text, nexthop text, next_attempt float8, expires_at float8, warn_at float8,
        last_reply text, report text, finished_at float8)
), refusal AS (
    INSERT INTO mta_refusal (at, stage, client_ip, helo, auth_user, reverse_path, recipient, code,
        status, text, rule, policy_version, trace, session, enforced, message_id, content_id)
    SELECT to_timestamp(at), stage, client_ip, helo, auth_user, reverse_path, recipient, code,
        status, text, rule, version, trace, session, enforced, message_id,
        content_id
    FROM json_to_recordset(%(refusals)s::json) AS t(
        at float8, stage text, client_ip text, helo text, auth_user text, reverse_path text,
        recipient text, code int4, status text, text text, rule text, version int8, trace jsonb,
        session jsonb, enforced bool, message_id int8, content_id int8)
)
INSERT INTO mta_tally (at, kind, count)
SELECT to_timestamp(%(now)s::float8), kind, count
FROM (VALUES ('accepted', %(accepted)s::int8), ('refused', %(refused)s::int8)) AS t(kind, count)
WHERE count > 0
"""
_STATEMENT = Statement("commit", _INSERT)
_PENDING = (State.QUEUED, State.HELD)


def _starts(submissions: Sequence[Submission]) -> Iterator[tuple[Submission, int]]:
    """Each submission with the place of its content in all contents, counted from 1."""
    start = 1
    for submission in submissions:
        yield submission, start
        start += len(submission.content)


def _message_row(submission: Submission, start: int) -> dict[str, Any]:
    envelope, holding = submission.envelope, submission.holding
    return {
        "id": submission.id,
        "at": submission.at.timestamp(),
        "pending": sum(row.state in _PENDING for row in submission.recipients),
        "reverse_path": envelope.reverse_path,
        "source": envelope.source,
        "auth_user": envelope.auth_user,
        "client_ip": envelope.client_ip,
        "helo": envelope.helo,
        "ret": envelope.ret,
        "envid": envelope.envid,
        "smtputf8": envelope.smtputf8,
        "eight_bit": submission.eight_bit,
        "verp": envelope.verp,
        "requiretls": envelope.requiretls,
        "size": len(submission.content),
        "header_message_id": storable(submission.header_message_id),
        "subject": storable(submission.subject),
        "origin": submission.origin,
        "version": submission.policy_version,
        "accepted": submission.accepted,
        "start": start,
        "held_by": holding.filter if holding else None,
        "held_until": holding.until.timestamp() if holding and holding.until else None,
    }


def _recipient_row(submission: Submission, row: RoutedRecipient) -> dict[str, Any]:
    return {
        "message_id": submission.id,
        "address": row.address,
        "original_recipient": row.original_recipient,
        "return_path": row.return_path,
        "notify": row.notify,
        "state": row.state,
        "transport": row.transport,
        "nexthop": row.nexthop,
        "next_attempt": row.next_attempt.timestamp(),
        "expires_at": row.expires_at.timestamp(),
        "warn_at": row.warn_at.timestamp() if row.warn_at else None,
        "last_reply": storable(row.last_reply),
        "report": row.report,
        "finished_at": None if row.state in _PENDING else submission.at.timestamp(),
    }


def _refusal_row(refusal: RefusalRecord) -> dict[str, Any]:
    reverse_path = refusal.reverse_path
    return {
        "at": refusal.at.timestamp(),
        "stage": refusal.stage,
        "client_ip": refusal.client_ip,
        "helo": storable(refusal.helo),
        "auth_user": storable(refusal.auth_user),
        "reverse_path": None if reverse_path is None else storable(reverse_path),
        "recipient": storable(refusal.recipient),
        "code": refusal.code,
        "status": refusal.status,
        "text": storable(refusal.text),
        "rule": refusal.rule,
        "version": refusal.policy_version,
        "trace": refusal.trace,
        "session": refusal.session,
        "enforced": refusal.enforced,
        "message_id": refusal.message_id,
        "content_id": refusal.content_id,
    }


def storable(text: str) -> str:
    """Text as PostgreSQL takes it: no NUL, no lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
