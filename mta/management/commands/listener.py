"""listener list|set: what is particular to the listeners smtp, submission and smtps."""

import argparse
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.management.quantity import format_size, parse_size
from mta.models import Listener, MimeMode

DEFAULT = "default"


class Command(ApplianceCommand):
    help = "List the listeners, or say what is particular to one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|set")
        add_json(verbs.add_parser("list", help="list the listeners"))
        set_ = verbs.add_parser("set", help="change one")
        set_.add_argument("name", choices=Listener.Name.values)
        set_.add_argument(
            "--sizelimit", metavar="SIZE", help='such as 20M; "default" for that of the settings'
        )
        set_.add_argument("--mime", choices=MimeMode.values, help="what becomes of broken MIME")
        set_.add_argument(
            "--tls-required", action=argparse.BooleanOptionalAction, help="no mail in clear"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            known = {row.name: row for row in Listener.objects.all()}
            rows = [_row(known.get(name) or Listener(name=name)) for name in Listener.Name.values]
            self.show(rows, options["json"])
        else:
            self.set(options)

    def set(self, options: dict[str, Any]) -> None:
        name = options["name"]
        with policy_change():
            row = Listener.objects.filter(name=name).first() or Listener(name=name)
            if options["sizelimit"] is not None:
                row.sizelimit = _size(options["sizelimit"])
            for field in ("mime", "tls_required"):
                if options[field] is not None:
                    setattr(row, field, options[field])
            row.full_clean()
            row.save()
        tls = "TLS required" if row.tls_required else "TLS offered"
        self.stdout.write(f"{name}: {_row(row)['sizelimit']}, MIME {row.mime}, {tls}")


def _size(text: str) -> int | None:
    """Octets, None for that of the settings. Raises CommandError."""
    if text == DEFAULT:
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise CommandError(f"--sizelimit: {error}") from error


def _row(row: Listener) -> dict[str, Any]:
    return {
        "name": row.name,
        "sizelimit": DEFAULT if row.sizelimit is None else format_size(row.sizelimit),
        "mime": row.mime,
        "tls_required": row.tls_required,
    }
