"""hold QUEUE_ID...|--all: keep mail in the queue without trying it."""

from typing import Any

from django.core.management.base import CommandParser

from mta.management.appliance_command import ApplianceCommand
from mta.management.policy_change import command_actor
from mta.management.queue_verb import recipients, select
from mta.queue import control


class Command(ApplianceCommand):
    help = "Keep mail in the queue without trying it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue_ids", nargs="*", metavar="QUEUE_ID")
        parser.add_argument("--all", action="store_true", help="the whole queue")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        selection = select(options["queue_ids"], options["all"])
        held = control.hold(selection, command_actor(), options["reason"])
        self.stdout.write(f"{recipients(held)} held")
