"""Step 4, the seam: messages become durable here, and only then is anybody told so.

A batch of messages with their recipients, contents and first events goes in by one statement,
with synchronous_commit on. When `commit` returns, they are on disk; when it raises, none of
them is. (Inside a caller's transaction that holds once the caller has committed.)
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from django.db import DatabaseError, OperationalError, connection, transaction

from mta.models import Message, State
from mta.protocol.envelope import Envelope


@dataclass(frozen=True, slots=True)
class RoutedRecipient:
    """A recipient with its transport and next hop; `state` is queued, or expanded for a list
    that was replaced by its members. `warn_at` is None when no delay is ever reported."""

    address: str
    transport: str
    nexthop: str
    next_attempt: datetime
    expires_at: datetime
    warn_at: datetime | None = None
    notify: str = ""
    original_recipient: str = ""
    state: State = State.QUEUED
    last_reply: str = ""
    report: str = ""


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


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """Something turned away in a session, for the history. `reverse_path` is None before MAIL."""

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


class AlreadyQueued(Exception):
    """A message of this origin is in the queue already; `message_id` is its id."""

    def __init__(self, message_id: int) -> None:
        super().__init__(f"already queued as message {message_id}")
        self.message_id = message_id


def commit(submissions: Sequence[Submission], refusals: Sequence[RefusalRecord] = ()) -> None:
    """Make all of it durable at once. Raises DatabaseError; then nothing is stored."""
    if submissions or refusals:
        with connection.wrap_database_errors:
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
    """One statement: the process and the database exchange one round trip for a whole batch.

    psycopg's own cursor binds the columns as binary arrays and keeps the statement prepared.
    """
    now = submissions[0].at if submissions else refusals[0].at
    messages = _columns((_message_row(each) for each in submissions), 18)
    recipients = _columns(
        (_recipient_row(each, row) for each in submissions for row in each.recipients), 13
    )
    refused = _columns((_refusal_row(each) for each in refusals), 14)
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(
            _INSERT,
            [
                *messages,
                messages[0],
                messages[1],
                [each.content for each in submissions],
                [json.dumps(each.accepted) for each in submissions],
                *recipients,
                *refused,
                now,
                len(submissions),
                len(refusals),
            ],
            prepare=True,
        )


_INSERT = """
WITH message AS (
    INSERT INTO mta_message (id, created_at, finished_at, pending, reverse_path, source,
        auth_user, client_ip, helo, ret, envid, smtputf8, eight_bit, size, header_message_id,
        subject, origin, policy_version)
    SELECT * FROM unnest(%s::int8[], %s::timestamptz[], %s::timestamptz[], %s::int4[],
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::bool[], %s::bool[], %s::int8[], %s::text[], %s::text[], %s::text[], %s::int8[])
), numbered AS (
    SELECT * FROM unnest(%s::int8[], %s::timestamptz[], %s::bytea[], %s::text[])
        AS t(id, at, data, accepted)
), content AS (
    INSERT INTO mta_content (message_id, data) SELECT id, data FROM numbered
), event AS (
    INSERT INTO mta_event (at, message_id, kind, data)
    SELECT at, id, 'accepted', accepted::jsonb FROM numbered
), recipient AS (
    INSERT INTO mta_recipient (message_id, address, original_recipient, notify, state, transport,
        nexthop, next_attempt, expires_at, warn_at, last_reply, report, finished_at, attempts,
        last_remote, last_command)
    SELECT *, 0, '', '' FROM unnest(%s::int8[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
        %s::text[], %s::text[], %s::timestamptz[])
), refusal AS (
    INSERT INTO mta_refusal (at, stage, client_ip, helo, auth_user, reverse_path, recipient, code,
        status, text, rule, policy_version, trace, session)
    SELECT at, stage, client_ip, helo, auth_user, reverse_path, recipient, code, status, text,
        rule, version, trace::jsonb, session::jsonb
    FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::text[], %s::int4[], %s::text[], %s::text[], %s::text[], %s::int8[], %s::text[],
        %s::text[])
        AS t(at, stage, client_ip, helo, auth_user, reverse_path, recipient, code, status, text,
             rule, version, trace, session)
)
INSERT INTO mta_tally (at, kind, count)
SELECT %s::timestamptz, kind, count
FROM (VALUES ('accepted', %s::int8), ('refused', %s::int8)) AS t(kind, count) WHERE count > 0
"""


def _columns(rows: Iterable[tuple[Any, ...]], count: int) -> list[list[Any]]:
    """Rows turned into `count` columns, also when there are no rows."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(count)]


def _message_row(submission: Submission) -> tuple[Any, ...]:
    envelope = submission.envelope
    pending = sum(recipient.state == State.QUEUED for recipient in submission.recipients)
    return (
        submission.id,
        submission.at,
        None if pending else submission.at,
        pending,
        envelope.reverse_path,
        envelope.source.value,
        envelope.auth_user,
        envelope.client_ip,
        envelope.helo,
        envelope.ret,
        envelope.envid,
        envelope.smtputf8,
        submission.eight_bit,
        len(submission.content),
        storable(submission.header_message_id),
        storable(submission.subject),
        submission.origin,
        submission.policy_version,
    )


def _recipient_row(submission: Submission, recipient: RoutedRecipient) -> tuple[Any, ...]:
    return (
        submission.id,
        recipient.address,
        recipient.original_recipient,
        recipient.notify,
        recipient.state.value,
        recipient.transport,
        recipient.nexthop,
        recipient.next_attempt,
        recipient.expires_at,
        recipient.warn_at,
        recipient.last_reply,
        recipient.report,
        None if recipient.state == State.QUEUED else submission.at,
    )


def _refusal_row(refusal: RefusalRecord) -> tuple[Any, ...]:
    reverse_path = refusal.reverse_path
    return (
        refusal.at,
        refusal.stage,
        refusal.client_ip,
        storable(refusal.helo),
        storable(refusal.auth_user),
        None if reverse_path is None else storable(reverse_path),
        storable(refusal.recipient),
        refusal.code,
        refusal.status,
        storable(refusal.text),
        refusal.rule,
        refusal.policy_version,
        json.dumps(refusal.trace),
        json.dumps(refusal.session),
    )


def storable(text: str) -> str:
    """Text as PostgreSQL takes it: no NUL, no lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
