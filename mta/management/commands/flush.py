"""flush [QUEUE_ID...|--match FIELD=TEXT]: try queued mail now, whatever its next attempt is."""

from typing import Any

from django.core.management.base import CommandParser

from mta import runtime
from mta.management.policy_change import command_actor
from mta.management.queue_verb import QueueVerb, recipients, select
from mta.models import State
from mta.queue import control, destinations


class Command(QueueVerb):
    help = "Try queued mail now: one message, all that match, or everything."
    states = (State.QUEUED,)
    done = "due now"

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_selection(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        queue_ids, match = options["queue_ids"], options["match"]
        selection = select(queue_ids, not queue_ids and not match, match)
        if self.told_only(selection, options):
            return
        due = control.retry(selection, command_actor())
        destinations.probe_all()
        runtime.nudge()
        self.stdout.write(f"{recipients(due)} due now")
