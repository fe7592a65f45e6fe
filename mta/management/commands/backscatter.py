"""backscatter list|clear: addresses that are refused because their last delivery failed."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.models import AddressTrouble

ALL = "all"


class Command(ApplianceCommand):
    help = "List addresses whose last delivery failed, or clear them so that mail is taken again."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|clear")
        add_json(verbs.add_parser("list", help="list them, the newest first"))
        clear = verbs.add_parser("clear", help="forget about one, or all")
        clear.add_argument("address", help="an address, or all")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            rows = AddressTrouble.objects.order_by("-at")
            self.show([_row(row) for row in rows], options["json"])
        else:
            self.clear(options["address"])

    def clear(self, address: str) -> None:
        rows = AddressTrouble.objects.all()
        if address != ALL:
            rows = rows.filter(address__iexact=address)
        removed, _ = rows.delete()
        if not removed and address != ALL:
            raise CommandError(f"nothing is known against {address}")
        self.stdout.write(f"{removed} address{'' if removed == 1 else 'es'} cleared")


def _row(row: AddressTrouble) -> dict[str, Any]:
    return {
        "address": row.address,
        "permanent": row.permanent,
        "at": row.at,
        "reply": row.reply,
    }
