"""Step 8: recipients whose report is due become a DSN, which re-enters at the commit.

The DSN is queued in the transaction that clears the marks: there is neither a report that is
lost nor one that is sent twice.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from mta import maillog
from mta.models import Recipient, State
from mta.protocol.dsn import Action, RecipientReport, Report
from mta.protocol.dsn_text import Wording
from mta.protocol.envelope import Envelope
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.reply import Reply, parse_reply
from mta.queue import reports
from mta.queue.reports import DueReport

# At the longest this many reports in one run; the next nudge goes on.
RUN_COUNT = 200

Compose = Callable[[Report], tuple[Envelope, bytes] | None]
Enqueue = Callable[[Envelope, bytes, str], int]


@dataclass(frozen=True, slots=True)
class Style:
    """How reports are made: our name, dsnlimit in octets, the wording, and who gets what no
    sender can be told ("" for the postmaster)."""

    hostname: str
    limit: int
    wording: Wording = Wording()
    double_bounce_to: str = ""


def send_due(style: Style, compose: Compose, enqueue: Enqueue) -> int:
    """Queue the DSNs that are due; gives how many messages were reported on.

    `enqueue(envelope, content, origin)` gives a message id.
    """
    count = 0
    while count < RUN_COUNT and _send_one(style, compose, enqueue):
        count += 1
    return count


def _send_one(style: Style, compose: Compose, enqueue: Enqueue) -> bool:
    with transaction.atomic():
        due = reports.claim_due()
        if due is None:
            return False
        made = compose(_report(due, style))
        queue_id = ""
        if made is not None:
            queue_id = encode_queue_id(enqueue(*made, _origin(due)))
        reports.done(due, queue_id, timezone.now())
    if made is not None:
        maillog.dsn_sent(
            queue_id=due.message.queue_id,
            dsn_queue_id=queue_id,
            recipient=made[0].recipients[0].address,
            report=",".join(sorted({recipient.report for recipient in due.recipients})),
        )
    return True


def _origin(due: DueReport) -> str:
    """The same reports make the same origin, so that a repetition queues nothing."""
    marks = ",".join(f"{row.id}:{row.report}" for row in due.recipients[:50])
    return f"dsn {due.message.id} {len(due.recipients)} {marks}"


def _report(due: DueReport, style: Style) -> Report:
    message = due.message
    peer = f"dns; {message.helo} ([{message.client_ip}])" if message.client_ip else ""
    return Report(
        hostname=style.hostname,
        queue_id=message.queue_id,
        reverse_path=message.reverse_path,
        arrived_at=message.created_at.timestamp(),
        made_at=timezone.now().timestamp(),
        content=due.content,
        recipients=tuple(_recipient_report(row) for row in due.recipients),
        envid=message.envid,
        ret=message.ret,
        received_from=peer,
        smtputf8=message.smtputf8,
        limit=style.limit,
        wording=style.wording,
        double_bounce_to=style.double_bounce_to,
    )


def _recipient_report(row: Recipient) -> RecipientReport:
    action = Action(row.report)
    return RecipientReport(
        address=row.address,
        action=action,
        reply=_reply(row.last_reply),
        original_recipient=row.original_recipient,
        remote=row.last_remote,
        command=row.last_command,
        expired=row.state == State.EXPIRED,
        attempted_at=(row.finished_at or timezone.now()).timestamp(),
        will_retry_until=row.expires_at.timestamp() if action is Action.DELAYED else None,
    )


def _reply(text: str) -> Reply:
    """The stored line "550 5.1.1 no such user" as a reply again."""
    code, _, rest = text.partition(" ")
    if len(code) == 3 and code.isdecimal():
        return parse_reply(int(code), [rest])
    return Reply(451, "4.3.0", text or "no reply")
