"""tlsstatus [DOMAIN]: TLS with other hosts, as the console's page "TLS" shows it."""

from typing import Any

from django.core.management.base import CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json, printable
from mta.models import TlsTally
from mta.queue import tls_tallies
from mta.queue.tls_tallies import Destination


class Command(ApplianceCommand):
    help = "Show what secures mail to other domains and what failed within a week; with a domain, "
    help += "day by day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("domain", nargs="?", default="", help="only this one, in detail")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["domain"]:
            rows = [_tally(row) for row in tls_tallies.tallies(options["domain"])]
        else:
            rows = [_destination(row) for row in tls_tallies.destinations()]
        if options["json"] or rows:
            self.show(rows, options["json"])
        else:
            self.stdout.write("nothing is known of TLS with other hosts")


def _destination(row: Destination) -> dict[str, Any]:
    return {
        "domain": printable(row.domain),
        "secured_by": row.protection,
        "sessions": row.good,
        "failures": row.failed,
        "failed_at": row.failed_at,
        "failure": row.word,
        "detail": printable(row.detail),
    }


def _tally(row: TlsTally) -> dict[str, Any]:
    return {
        "day": row.day.isoformat(),
        "host": printable(row.mx_host),
        "asked_by": row.policy,
        "result": row.word,
        "count": row.count,
        "detail": printable(row.detail),
    }
