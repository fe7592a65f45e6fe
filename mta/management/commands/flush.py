"""flush [QUEUE_ID...]: try queued mail now, whatever its next attempt is."""

from typing import Any

from django.core.management.base import CommandParser

from mta import runtime
from mta.management.appliance_command import ApplianceCommand
from mta.management.policy_change import command_actor
from mta.management.queue_verb import recipients, select
from mta.queue import control, destinations


class Command(ApplianceCommand):
    help = "Try queued mail now: one message, or everything."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue_ids", nargs="*", metavar="QUEUE_ID")

    def handle(self, *args: Any, **options: Any) -> None:
        queue_ids = options["queue_ids"]
        selection = select(queue_ids, everything=not queue_ids)
        due = control.retry(selection, command_actor())
        destinations.probe_all()
        runtime.nudge()
        self.stdout.write(f"{recipients(due)} due now")
