"""dsnrefuser list|clear|exempt: domains whose servers refuse reports."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import DsnRefuser
from mta.protocol import address

_FIELDS = ("domain", "refusals", "exempt", "last_at", "expires_at", "host", "reply")


class Command(ApplianceCommand):
    help = "List domains whose servers refuse MAIL FROM:<>, clear one, or exempt it for good."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|clear|exempt")
        add_json(verbs.add_parser("list", help="list them"))
        clear = verbs.add_parser("clear", help="forget what a domain's server refused")
        clear.add_argument("domain")
        exempt = verbs.add_parser("exempt", help="take a domain's mail whatever it refuses")
        exempt.add_argument("domain")
        exempt.add_argument("--off", action="store_true", help="no longer")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "list":
                self.show(list(DsnRefuser.objects.values(*_FIELDS)), options["json"])
            case "clear":
                self.clear(options["domain"])
            case "exempt":
                self.exempt(options["domain"], not options["off"])

    def clear(self, text: str) -> None:
        with policy_change():
            removed, _ = DsnRefuser.objects.filter(domain=stored_domain(text)).delete()
        if not removed:
            raise CommandError(f"nothing is known against {text}")
        self.stdout.write(f"{text} is cleared")

    def exempt(self, text: str, exempt: bool) -> None:
        """A domain that has refused nothing yet may be exempted beforehand."""
        domain = stored_domain(text)
        with policy_change():
            row = DsnRefuser.objects.filter(domain=domain).first()
            if row is None and not exempt:
                raise CommandError(f"nothing is known against {text}")
            row = row or _unblemished(domain)
            row.exempt = exempt
            row.save()
        self.stdout.write(f"{domain} is {'exempt' if exempt else 'no longer exempt'}")


def stored_domain(text: str) -> str:
    """Raises CommandError."""
    try:
        return address.normalize_domain(text)
    except address.AddressError as error:
        raise CommandError(f"{text}: {error}") from error


def _unblemished(domain: str) -> DsnRefuser:
    now = timezone.now()
    return DsnRefuser(
        domain=domain, refusals=0, reply="", host="", first_at=now, last_at=now, expires_at=now
    )
