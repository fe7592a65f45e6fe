"""cancelmsg QUEUE_ID [REASON...]: return mail to its sender undelivered (Courier's)."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import runtime
from mta.management.policy_change import command_actor
from mta.management.queue_verb import QueueVerb, recipients, select
from mta.models import State
from mta.nudge import REPORT
from mta.queue import control


class Command(QueueVerb):
    help = "Cancel mail: what is not delivered yet is returned with the reason."
    states = (State.QUEUED, State.HELD)
    done = "cancelled"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "words", nargs="*", metavar="QUEUE_ID REASON", help="with --match only the reason"
        )
        self.add_selection(parser, queue_ids=False)

    def handle(self, *args: Any, **options: Any) -> None:
        words, match = options["words"], options["match"]
        queue_ids = [] if match else words[:1]
        reason = " ".join(words[len(queue_ids) :])
        selection = select(queue_ids, match=match)
        if self.told_only(selection, options):
            return
        cancelled = control.cancel(selection, command_actor(), reason)
        if not cancelled:
            named = " ".join(queue_ids) or "what matches"
            raise CommandError(f"nothing of {named} waits for delivery any more")
        runtime.nudge([REPORT])
        self.stdout.write(f"{recipients(cancelled)} cancelled")
