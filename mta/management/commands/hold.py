"""hold QUEUE_ID...|--match FIELD=TEXT|--all: keep mail in the queue without trying it."""

from typing import Any

from django.core.management.base import CommandParser

from mta.management.policy_change import command_actor
from mta.management.queue_verb import QueueVerb, recipients, select
from mta.models import State
from mta.queue import control


class Command(QueueVerb):
    help = "Keep mail in the queue without trying it."
    states = (State.QUEUED,)
    done = "held"

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_selection(parser)
        parser.add_argument("--all", action="store_true", help="the whole queue")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        selection = select(options["queue_ids"], options["all"], options["match"])
        if self.told_only(selection, options):
            return
        held = control.hold(selection, command_actor(), options["reason"])
        self.stdout.write(f"{recipients(held)} held")
