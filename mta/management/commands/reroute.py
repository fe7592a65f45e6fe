"""reroute NEXTHOP QUEUE_ID...|--match FIELD=TEXT|--all: send mail another way."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import next_hop, runtime
from mta.management.policy_change import command_actor
from mta.management.queue_verb import QueueVerb, recipients, select
from mta.models import State
from mta.queue import control


class Command(QueueVerb):
    help = "Send queued mail to another next hop, or give it back to normal routing."
    states = (State.QUEUED, State.HELD)
    done = "rerouted"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("nexthop", metavar="NEXTHOP", help=next_hop.FORMS)
        self.add_selection(parser)
        parser.add_argument("--all", action="store_true", help="the whole queue")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            route = next_hop.parse(options["nexthop"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        selection = select(options["queue_ids"], options["all"], options["match"])
        if self.told_only(selection, options):
            return
        rerouted = control.reroute(selection, command_actor(), route, options["reason"])
        runtime.nudge()
        self.stdout.write(f"{recipients(rerouted)} rerouted")
