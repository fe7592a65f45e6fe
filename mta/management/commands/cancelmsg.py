"""cancelmsg QUEUE_ID [REASON...]: return a message to its sender undelivered (Courier's)."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import runtime
from mta.management.appliance_command import ApplianceCommand
from mta.management.policy_change import command_actor
from mta.management.queue_verb import recipients, select
from mta.nudge import REPORT
from mta.queue import control


class Command(ApplianceCommand):
    help = "Cancel a message: what is not delivered yet is returned with the reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue_id", metavar="QUEUE_ID")
        parser.add_argument("reason", nargs="*", metavar="REASON")

    def handle(self, *args: Any, **options: Any) -> None:
        selection = select([options["queue_id"]])
        reason = " ".join(options["reason"])
        cancelled = control.cancel(selection, command_actor(), reason)
        if not cancelled:
            raise CommandError(f"nothing of {options['queue_id']} waits for delivery any more")
        runtime.nudge([REPORT])
        self.stdout.write(f"{recipients(cancelled)} cancelled")
