"""release QUEUE_ID...|--all: give held mail back to the scheduler."""

from typing import Any

from django.core.management.base import CommandParser

from mta import runtime
from mta.management.appliance_command import ApplianceCommand
from mta.management.policy_change import command_actor
from mta.management.queue_verb import recipients, select
from mta.queue import control


class Command(ApplianceCommand):
    help = "Give held mail back to the scheduler."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue_ids", nargs="*", metavar="QUEUE_ID")
        parser.add_argument("--all", action="store_true", help="everything that is held")

    def handle(self, *args: Any, **options: Any) -> None:
        selection = select(options["queue_ids"], options["all"])
        released = control.release(selection, command_actor())
        runtime.nudge()
        self.stdout.write(f"{recipients(released)} released")
