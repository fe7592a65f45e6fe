"""expiry DURATION QUEUE_ID...|--match FIELD=TEXT|--all: change when mail is given up."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from mta.management.policy_change import command_actor
from mta.management.quantity import parse_duration
from mta.management.queue_verb import QueueVerb, recipients, select
from mta.models import State
from mta.queue import control


class Command(QueueVerb):
    help = "Change when queued mail is given up, counted from now."
    states = (State.QUEUED, State.HELD)
    done = "given another time"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("duration", metavar="DURATION", help="from now, such as 2d; 0 for now")
        self.add_selection(parser)
        parser.add_argument("--all", action="store_true", help="the whole queue")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            at = timezone.now() + parse_duration(options["duration"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        selection = select(options["queue_ids"], options["all"], options["match"])
        if self.told_only(selection, options):
            return
        changed = control.expire_at(selection, command_actor(), at, options["reason"])
        self.stdout.write(f"{recipients(changed)} given up after {at:%Y-%m-%d %H:%M:%S %Z}")
