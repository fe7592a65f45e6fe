"""The commands that act on the queue: how recipients are chosen, by queue id or by a search."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, message_ids
from mta.management.quantity import parse_duration
from mta.models import Message, State
from mta.models.message import LIVE_STATES
from mta.protocol.queue_id import encode_queue_id
from mta.queue import control
from mta.queue.control import Selection
from mta.queue.listing import QueueFilter

_TEXTS = ("sender", "recipient", "destination", "reply")
FIELDS = ("state", *_TEXTS, "age")


class QueueVerb(ApplianceCommand):
    """One verb on chosen recipients. `states` are those of the recipients that it changes."""

    states: tuple[State, ...]
    done: str

    def add_selection(self, parser: CommandParser, *, queue_ids: bool = True) -> None:
        if queue_ids:
            parser.add_argument("queue_ids", nargs="*", metavar="QUEUE_ID")
        parser.add_argument(
            "--match",
            action="append",
            default=[],
            metavar="FIELD=TEXT",
            help=f"all that match, several must all hold; fields: {', '.join(FIELDS)}",
        )
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def told_only(self, selection: Selection, options: dict[str, Any]) -> bool:
        """With --dry-run: say how many the verb would change, and that is all."""
        if options["dry_run"]:
            matching = control.count(selection, self.states)
            self.stdout.write(f"{recipients(matching)} would be {self.done}")
        return bool(options["dry_run"])


def select(
    queue_ids: Sequence[str], everything: bool = False, match: Sequence[str] = ()
) -> Selection:
    """The recipients of these messages, those that match, or everything that is live.

    Raises CommandError when none or several of these are named, or a message does not exist.
    """
    if [bool(queue_ids), everything, bool(match)].count(True) != 1:
        raise CommandError("name queue ids, or --match FIELD=TEXT, or --all for the whole queue")
    if match:
        return Selection(filter=read_match(match))
    ids = message_ids(queue_ids)
    known = set(Message.objects.filter(id__in=ids).values_list("id", flat=True))
    for message_id in ids:
        if message_id not in known:
            raise CommandError(f"there is no message {encode_queue_id(message_id)}")
    return Selection(message_ids=ids)


def read_match(words: Sequence[str]) -> QueueFilter:
    """The filter that "sender=news" and the like make. Raises CommandError."""
    found = QueueFilter()
    named: set[str] = set()
    for word in words:
        field, _, text = word.partition("=")
        if field not in FIELDS or not text.strip() or field in named:
            raise CommandError(
                f"--match {word}: write each field once, as FIELD=TEXT, with one of"
                f" {', '.join(FIELDS)}"
            )
        named.add(field)
        found = _narrowed(found, field, text.replace("\0", "").strip())
    return found


def _narrowed(found: QueueFilter, field: str, text: str) -> QueueFilter:
    if field == "age":
        try:
            return replace(found, older_than=parse_duration(text))
        except ValueError as error:
            raise CommandError(f"--match age: {error}") from error
    if field == "state" and text not in LIVE_STATES:
        raise CommandError(f"--match state: one of {', '.join(LIVE_STATES)}")
    changes: dict[str, Any] = {field: text}
    return replace(found, **changes)


def recipients(count: int) -> str:
    return f"{count} recipient{'' if count == 1 else 's'}"
