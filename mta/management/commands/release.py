"""release QUEUE_ID...|--match FIELD=TEXT|--all: give held mail back to the scheduler."""

from typing import Any

from django.core.management.base import CommandParser

from mta import runtime
from mta.management.policy_change import command_actor
from mta.management.queue_verb import QueueVerb, recipients, select
from mta.models import State
from mta.queue import control


class Command(QueueVerb):
    help = "Give held mail back to the scheduler."
    states = (State.HELD,)
    done = "released"

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_selection(parser)
        parser.add_argument("--all", action="store_true", help="everything that is held")

    def handle(self, *args: Any, **options: Any) -> None:
        selection = select(options["queue_ids"], options["all"], options["match"])
        if self.told_only(selection, options):
            return
        released = control.release(selection, command_actor())
        runtime.nudge()
        self.stdout.write(f"{recipients(released)} released")
