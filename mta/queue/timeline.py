"""The life of one message in plain sentences, from the connection to the last outcome.

The ingress writes one event "accepted" whose data holds the session and its decisions:

    {"session": {"client_ip", "helo", "listener", "tls", "auth_user"},
     "decisions": [{"at", "stage", "subject", "verdict", "rule", "reply", "version", "steps"}],
     "size": octets, "sha256": hex digits}

Mail made on this host has {"session": {"source", "auth_user"}} only.

It becomes one entry for the connection, one per decision and one "queued". Every other event
and every attempt is one entry; `detail` holds what the sentence leaves out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mta.models import Attempt, Event, Message
from mta.protocol.queue_id import encode_queue_id
from mta.queue.listing import RecipientRow, fetch, recipients_of

Detail = dict[str, Any]

_STAGE_WORDS = {
    "connect": "Connection",
    "helo": "HELO",
    "auth": "AUTH",
    "mail": "MAIL FROM",
    "rcpt": "RCPT TO",
    "content": "Content",
}
_VERDICT_WORDS = {"accept": "accepted", "refuse": "refused", "defer": "refused for now"}
_SOURCE_WORDS = {
    "esmtp": "Came from another host",
    "submission": "Came from a user of ours",
    "uucp": "Came by UUCP",
    "local": "Handed in by a program on this host",
    "dsn": "Written here to report on another message",
    "forward": "Sent on from here",
}
_FILTER = "site_filter:"
_TOLD_APART = ("decisions", "session", "dispositions")
_HUMAN_WORDS = {
    "held": "Held",
    "released": "Released",
    "retried": "Next attempt brought forward",
    "cancelled": "Cancelled",
    "rerouted": "Rerouted",
    "expiry": "Time to give up was changed",
    "pardoned": "Taken after all, although it was refused,",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of a timeline. `recipient` is "" when the entry is about the whole message."""

    at: datetime
    kind: str
    sentence: str
    recipient: str
    detail: Detail


@dataclass(frozen=True, slots=True)
class MessageSummary:
    """A message as its page shows it. `size` is in octets; `has_content` while it is stored."""

    message_id: int
    queue_id: str
    created_at: datetime
    finished_at: datetime | None
    reverse_path: str
    source: str
    auth_user: str
    client_ip: str
    helo: str
    ret: str
    envid: str
    size: int
    header_message_id: str
    subject: str
    policy_version: int
    has_content: bool
    recipients: tuple[RecipientRow, ...]


def message_summary(message_id: int) -> MessageSummary | None:
    """The message with its recipients, or None when there is no such message."""
    message = Message.objects.filter(id=message_id).first()
    if message is None:
        return None
    content = fetch("SELECT 1 FROM mta_content WHERE message_id = %s", [message_id])
    return MessageSummary(
        message_id=message.id,
        queue_id=message.queue_id,
        created_at=message.created_at,
        finished_at=message.finished_at,
        reverse_path=message.reverse_path,
        source=message.source,
        auth_user=message.auth_user,
        client_ip=message.client_ip,
        helo=message.helo,
        ret=message.ret,
        envid=message.envid,
        size=message.size,
        header_message_id=message.header_message_id,
        subject=message.subject,
        policy_version=message.policy_version,
        has_content=bool(content),
        recipients=tuple(recipients_of([message_id]).get(message_id, ())),
    )


def timeline(message_id: int) -> list[TimelineEntry]:
    """Everything that is known of the message, in the order of time; empty when unknown."""
    addresses = {row.id: row.address for row in recipients_of([message_id]).get(message_id, ())}
    entries: list[TimelineEntry] = []
    for event in Event.objects.filter(message_id=message_id).order_by("id"):
        recipient = addresses.get(event.recipient_id or 0, "")
        if event.kind == "accepted":
            entries.extend(_accepted(message_id, event))
        else:
            entries.append(_event(event, recipient))
    for attempt in Attempt.objects.filter(message_id=message_id).order_by("id"):
        entries.append(_attempt(attempt, addresses.get(attempt.recipient_id, "")))
    return sorted(entries, key=lambda entry: entry.at)


def _accepted(message_id: int, event: Event) -> Iterator[TimelineEntry]:
    data: Detail = event.data
    decisions: list[Detail] = data.get("decisions", [])
    session: Detail = data.get("session", {})
    if session:
        began = _time(decisions[0], event.at) if decisions else event.at
        yield TimelineEntry(began, "session", _session_sentence(session), "", session)
    for decision in decisions:
        yield from _filter_entries(decision, event.at)
        yield decision_entry(decision, event.at)
    detail = {key: value for key, value in data.items() if key not in _TOLD_APART}
    size = f" ({data['size']:,} octets)" if isinstance(data.get("size"), int) else ""
    sentence = f"Queued as {encode_queue_id(message_id)}{size}."
    yield TimelineEntry(event.at, "queued", sentence, "", detail)
    for disposition in data.get("dispositions", []):
        yield _disposition_entry(disposition, event.at)


def _filter_entries(decision: Detail, default_at: datetime) -> Iterator[TimelineEntry]:
    """What each site filter said, and how long it took; the one that decided says it itself."""
    at = _time(decision, default_at)
    for step in decision.get("steps", []):
        name = str(step.get("rule", ""))
        if name.startswith(_FILTER) and name != decision.get("rule"):
            sentence = f"Site filter {name.removeprefix(_FILTER)}: {step.get('detail', '')}"
            yield TimelineEntry(at, "filter", sentence, "", step)


def _disposition_entry(disposition: Detail, at: datetime) -> TimelineEntry:
    kind = "held" if disposition.get("action") == "hold" else "discarded"
    why = f": {disposition['detail']}" if disposition.get("detail") else ""
    sentence = f"{kind.capitalize()} by the site filter {disposition.get('filter', '')}{why}"
    return TimelineEntry(at, kind, sentence, "", disposition)


def decision_entry(decision: Detail, default_at: datetime) -> TimelineEntry:
    """One decision of the policy as an entry; its steps stay in `detail`."""
    stage = str(decision.get("stage", ""))
    verdict = str(decision.get("verdict", ""))
    subject = str(decision.get("subject", ""))
    if stage == "mail":
        subject = subject or "<>"
    return TimelineEntry(
        _time(decision, default_at),
        verdict if verdict != "accept" else stage,
        _decision_sentence(stage, subject, verdict, decision),
        subject if stage == "rcpt" else "",
        decision,
    )


def _decision_sentence(stage: str, subject: str, verdict: str, decision: Detail) -> str:
    head = " ".join(part for part in (_STAGE_WORDS.get(stage, stage), subject) if part)
    word = _VERDICT_WORDS.get(verdict, verdict)
    why = _matched_detail(decision)
    if verdict != "accept" and decision.get("reply"):
        why = str(decision["reply"])
    # No rule answered: the stage ends well by default, and there is nobody to name.
    named = decision.get("rule", "") not in ("", "default")
    rule = f" (rule {decision['rule']})" if named else ""
    return f"{head}: {word}{': ' if why else ''}{why}{rule}"


def _matched_detail(decision: Detail) -> str:
    """What the step that decided has to say: the last one that matched. Filters have entries of
    their own."""
    matched = [
        step
        for step in decision.get("steps", [])
        if step.get("matched")
        and (step["rule"] == decision.get("rule") or not step["rule"].startswith(_FILTER))
    ]
    return str(matched[-1].get("detail", "")) if matched else ""


def _session_sentence(session: Detail) -> str:
    begin = f"Connection from {session.get('client_ip') or 'this host'}"
    parts = [_SOURCE_WORDS.get(str(session.get("source")), begin)]
    if session.get("listener"):
        parts.append(f" to {session['listener']}")
    if session.get("helo"):
        parts.append(f", HELO {session['helo']}")
    if session.get("tls"):
        parts.append(f", {session['tls']}")
    if session.get("auth_user"):
        parts.append(f", signed in as {session['auth_user']}")
    return "".join(parts)


def _event(event: Event, recipient: str) -> TimelineEntry:
    data: Detail = event.data if isinstance(event.data, dict) else {"value": event.data}
    return TimelineEntry(event.at, event.kind, _sentence(event.kind, data), recipient, data)


def _sentence(kind: str, data: Detail) -> str:
    if kind in _HUMAN_WORDS:
        return _human_sentence(kind, data)
    if kind == "dsn":
        return _dsn_sentence(data)
    if kind == "lease_expired":
        lost = "The worker that had it was lost; it is tried again"
        return f"{lost}, though the peer may have it" if data.get("uncertain") else lost
    return _plain_sentence(kind, data)


def _human_sentence(kind: str, data: Detail) -> str:
    actor = f" by {data['actor']}" if data.get("actor") else ""
    reason = f": {data['reason']}" if data.get("reason") else ""
    return f"{_HUMAN_WORDS[kind]}{actor}{reason}"


def _dsn_sentence(data: Detail) -> str:
    reports = data.get("reports")
    about = ", ".join(f"{to} {what}" for to, what in (reports or {}).items())
    return f"The sender was told in message {data.get('queue_id', '')}: {about}"


def _plain_sentence(kind: str, data: Detail) -> str:
    """Any other event: its kind as words, then what its data says."""
    told = "; ".join(
        f"{key.replace('_', ' ')} {value}"
        for key, value in data.items()
        if isinstance(value, str | int | float) and value != ""
    )
    words = kind.replace("_", " ").capitalize()
    return f"{words}: {told}" if told else words


def _attempt(attempt: Attempt, recipient: str) -> TimelineEntry:
    detail = {
        "number": attempt.number,
        "transport": attempt.transport,
        "nexthop": attempt.nexthop,
        "started_at": attempt.started_at.isoformat(),
        "finished_at": attempt.finished_at.isoformat() if attempt.finished_at else None,
        "reply": attempt.reply,
        "remote": attempt.remote,
        "tls": attempt.tls,
        "command": attempt.command,
        "next_attempt": attempt.next_attempt.isoformat() if attempt.next_attempt else None,
    }
    at = attempt.finished_at or attempt.started_at
    return TimelineEntry(at, attempt.result, _attempt_sentence(attempt), recipient, detail)


def _attempt_sentence(attempt: Attempt) -> str:
    where = attempt.remote or attempt.nexthop or attempt.transport
    over = f" over {attempt.tls}" if attempt.tls else ""
    match attempt.result:
        case Attempt.Result.SENT if attempt.transport == "local":
            return f"Delivered to the mailbox: {attempt.reply}"
        case Attempt.Result.SENT:
            return f"Sent to {where}{over}: {attempt.reply}"
        case Attempt.Result.DEFERRED:
            return f"Attempt {attempt.number} deferred by {where}: {attempt.reply}{_next(attempt)}"
        case Attempt.Result.BOUNCED:
            return f"Refused for good by {where}: {attempt.reply}"
        case Attempt.Result.STARTED:
            return f"Attempt {attempt.number} is under way to {where}"
        case Attempt.Result.UNCERTAIN:
            return f"Attempt {attempt.number} ended without an answer: {where} may have the message"
    return f"Attempt {attempt.number} was interrupted and is made again"


def _next(attempt: Attempt) -> str:
    if attempt.next_attempt is None:
        return ""
    return f"; next attempt at {attempt.next_attempt:%Y-%m-%d %H:%M:%S %Z}"


def _time(decision: Detail, default: datetime) -> datetime:
    """When the decision was made; a time that cannot be read counts as that of the event."""
    try:
        at = datetime.fromisoformat(str(decision.get("at", "")))
    except ValueError:
        return default
    return at if at.tzinfo else default
