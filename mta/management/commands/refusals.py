"""refusals list|accept: mail that was turned away, and taking it after all."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import pardon
from mta.management.appliance_command import ApplianceCommand, add_json, printable
from mta.management.policy_change import command_actor
from mta.models import Refusal, RefusedContent
from mta.queue import history
from mta.queue.history import RefusalFilter


class Command(ApplianceCommand):
    help = "List refused mail, and accept it after all while its content is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|accept")
        list_ = verbs.add_parser("list", help="the newest first")
        list_.add_argument("--limit", type=int, default=50)
        list_.add_argument("--rule", default="")
        list_.add_argument("--filter", default="", help="the name of a site filter")
        list_.add_argument("--recipient", default="")
        list_.add_argument("--kept", action="store_true", help="only those with their content")
        add_json(list_)
        accept = verbs.add_parser("accept", help="queue the message for those who were refused")
        accept.add_argument("number", type=int, nargs="+", metavar="NUMBER")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            self.list(options)
        else:
            for number in options["number"]:
                self.accept(number)

    def list(self, options: dict[str, Any]) -> None:
        wanted = RefusalFilter(
            rule=options["rule"],
            recipient=options["recipient"],
            kept=options["kept"],
            filter_name=options["filter"],
        )
        rows = history.refusals(max(options["limit"], 1), None, wanted)
        ids = [row.content_id for row in rows if row.content_id]
        kept = set(RefusedContent.objects.filter(pk__in=ids).values_list("pk", flat=True))
        self.show([_row(row, row.content_id in kept) for row in rows], options["json"])

    def accept(self, number: int) -> None:
        try:
            queue_id = pardon.accept(number, command_actor())
        except Refusal.DoesNotExist:
            raise CommandError(f"there is no refusal {number}") from None
        except pardon.CannotAccept as error:
            raise CommandError(f"refusal {number}: {error}") from error
        self.stdout.write(f"refusal {number} is queued as {queue_id}")


def _row(row: Refusal, kept: bool) -> dict[str, Any]:
    return {
        "number": row.pk,
        "at": row.at,
        "client": row.client_ip,
        "sender": printable(row.reverse_path or ""),
        "recipient": printable(row.recipient),
        "rule": row.rule,
        "reply": printable(f"{row.code} {row.status} {row.text}"),
        "kept": kept,
        "accepted_by": row.accepted_by,
    }
