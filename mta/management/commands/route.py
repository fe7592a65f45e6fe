"""route set|list|remove: where mail for a domain goes instead of its MX."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import Route
from mta.models.route import DISCARD, parse_relay
from mta.protocol import address

SMTP_PORT = 25
SMTPS_PORT = 465


class Command(ApplianceCommand):
    help = 'Set, list or remove routes; "*" is the smarthost, the relay "discard" drops mail.'

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help="say where a domain's mail goes")
        set_.add_argument("domain", help='a domain, ".domain" for its sub-domains, or "*"')
        set_.add_argument("relay", help="HOST[:PORT], [ADDRESS][:PORT] or discard")
        set_.add_argument(
            "--security",
            choices=[value for value in Route.Security.values if value],
            default="",
            help="REQUIRED: TLS or not at all; SMTPS: TLS from the first byte",
        )
        set_.add_argument("--note")
        add_json(verbs.add_parser("list", help="list the routes"))
        remove = verbs.add_parser("remove", help="take a route away")
        remove.add_argument("domain")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                self.show([_row(route) for route in Route.objects.all()], options["json"])
            case "remove":
                self.remove(options["domain"])

    def set(self, options: dict[str, Any]) -> None:
        domain = stored_domain(options["domain"])
        host, port = _relay(options["relay"])
        default_port = SMTPS_PORT if options["security"] == Route.Security.SMTPS else SMTP_PORT
        with policy_change():
            route = Route.objects.filter(domain=domain).first() or Route(domain=domain)
            route.relay, route.port = host, port or default_port
            route.security = options["security"]
            if options["note"] is not None:
                route.note = options["note"]
            route.full_clean()
            route.save()
        self.stdout.write(str(route))

    def remove(self, domain: str) -> None:
        with policy_change():
            removed, _ = Route.objects.filter(domain=stored_domain(domain)).delete()
        if not removed:
            raise CommandError(f"there is no route for {domain}")
        self.stdout.write(f"{domain} is removed")


def stored_domain(text: str) -> str:
    """The domain of a route as it is stored. Raises CommandError."""
    if text == "*":
        return text
    wildcard = "." if text.startswith(".") else ""
    try:
        return wildcard + address.normalize_domain(text.removeprefix("."))
    except address.AddressError as error:
        raise CommandError(f"{text}: {error}") from error


def _relay(text: str) -> tuple[str, int]:
    if text == DISCARD:
        return DISCARD, 0
    try:
        return parse_relay(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _row(route: Route) -> dict[str, Any]:
    return {
        "domain": route.domain,
        "relay": route.relay,
        "port": route.port,
        "security": route.security,
        "note": route.note,
    }
