"""mailq: the queue, in Courier's layout or as JSON (spec 9.5)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json, printable
from mta.models import State
from mta.queue.history import QueuedMessage, RecipientRow, queued_messages

_LEFT = 16
_DONE = (State.DELIVERED, State.RELAYED, State.EXPANDED, State.DISCARDED)
_FAILED = (State.FAILED, State.EXPIRED, State.CANCELLED)


class Command(ApplianceCommand):
    help = "Show the queue, oldest message first."

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)
        parser.add_argument("--batch", action="store_true", help="one line a message, for programs")
        parser.add_argument("--sort", action="store_true", help="oldest first, as always")

    def handle(self, *args: Any, **options: Any) -> None:
        messages = queued_messages()
        if options["json"]:
            self.write_json([_as_json(message) for message in messages])
        elif options["batch"]:
            self.write_lines(map(_batch_line, messages), "messages: {}")
        else:
            self.write_lines(map(_paragraph, messages), "{:4d} messages.")

    def write_lines(self, texts: Iterable[str], summary: str) -> None:
        count = 0
        for count, text in enumerate(texts, start=1):  # noqa: B007
            self.stdout.write(text)
        self.stdout.write(summary.format(count))


def _as_json(message: QueuedMessage) -> dict[str, Any]:
    return {
        "queue_id": message.queue_id,
        "created_at": message.created_at,
        "size": message.size,
        "reverse_path": message.reverse_path,
        "recipients": [
            {
                "address": row.address,
                "state": row.state,
                "attempts": row.attempts,
                "next_attempt": row.next_attempt,
                "last_reply": row.last_reply,
            }
            for row in message.recipients
        ],
    }


def _paragraph(message: QueuedMessage) -> str:
    """Three columns: size or user, queue id or address, date."""
    lines = [
        f"{_size(message.size):<{_LEFT}}{message.queue_id:<40}{_date(message.created_at)}",
        f"{printable(message.auth_user):<{_LEFT - 1}} {_sender(message)}",
    ]
    for row in message.recipients:
        lines.append(f"{_word(row):<{_LEFT}}{printable(row.address)}")
        if row.last_reply and row.state not in _DONE:
            lines.append(f"{'':<{_LEFT}}({printable(row.last_reply)})")
    return "\n".join(lines) + "\n\n"


def _batch_line(message: QueuedMessage) -> str:
    """size;qid;date;user;from;status;rcpt;status;rcpt;... with separators in values escaped."""
    fields = [
        str(message.size),
        message.queue_id,
        str(int(message.created_at.timestamp())),
        message.auth_user,
        message.reverse_path,
    ]
    for row in message.recipients:
        fields += [_word(row), row.address]
    return ";".join(_escape(field) for field in fields)


def _escape(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace(";", "\\;")


def _word(row: RecipientRow) -> str:
    """Courier's "done" and "fail", blank while it waits; held mail is marked, too."""
    if row.state in _DONE:
        return "done"
    if row.state in _FAILED:
        return "fail"
    return "held" if row.state == State.HELD else ""


def _sender(message: QueuedMessage) -> str:
    return printable(message.reverse_path) or "<>"


def _size(octets: int) -> str:
    if octets < 1024:
        return str(octets)
    if octets < 1024 * 1024:
        return f"{octets / 1024:.1f}K"
    return f"{octets / 1024 / 1024:.2f}M"


def _date(at: datetime) -> str:
    return at.strftime("%b %d %H:%M")
