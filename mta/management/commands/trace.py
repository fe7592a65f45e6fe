"""trace QUEUE_ID: the life of a message, from the connection to the last outcome."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json, message_ids, printable
from mta.queue.history import MessageSummary, TimelineEntry, message_summary, timeline


class Command(ApplianceCommand):
    help = "Tell what happened to a message."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue_id", metavar="QUEUE_ID")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        (message_id,) = message_ids([options["queue_id"]])
        summary = message_summary(message_id)
        if summary is None:
            raise CommandError(f"there is no message {options['queue_id']}")
        entries = timeline(message_id)
        if options["json"]:
            events = [asdict(entry) for entry in entries]
            self.write_json({**asdict(summary), "events": events})
        else:
            self.write_story(summary, entries)

    def write_story(self, summary: MessageSummary, entries: list[TimelineEntry]) -> None:
        self.stdout.write(
            f"Message {summary.queue_id} of {summary.created_at:%Y-%m-%d %H:%M:%S %Z}"
        )
        self.stdout.write(f"From    {printable(summary.reverse_path) or '<>'}")
        if summary.subject:
            self.stdout.write(f"Subject {printable(summary.subject)}")
        for row in summary.recipients:
            as_from = f", as from {printable(row.return_path)}" if row.return_path else ""
            self.stdout.write(f"To      {printable(row.address)} ({row.state}){as_from}")
        self.stdout.write("")
        for entry in entries:
            about = f"{entry.recipient}: " if entry.recipient not in entry.sentence else ""
            self.stdout.write(
                f"{entry.at:%H:%M:%S.%f}"[:12] + f"  {printable(about + entry.sentence)}"
            )
