"""route set|list|remove|import|export: where mail goes instead of the MX of its domain."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import Route
from mta.models.route import DISCARD
from mta.protocol import esmtproutes
from mta.protocol.esmtproutes import SMTP_PORT, SMTPS_PORT, Line
from mta.protocol.route_target import FORMS, is_target, parse_target

_Parsed = TypeVar("_Parsed")

_MX = "mx"


class Command(ApplianceCommand):
    help = (
        'Set, list or remove routes; "*" is the smarthost, the relay "discard" drops mail, the '
        'relay "mx" means the DNS.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="set|list|remove|import|export"
        )
        _add_set(verbs.add_parser("set", help="say where a domain's mail goes; replaces a route"))
        add_json(verbs.add_parser("list", help="list the routes; passwords are never shown"))
        remove = verbs.add_parser("remove", help="take a route away")
        _add_key(remove)
        import_ = verbs.add_parser("import", help="set the routes of a file of Courier's form")
        import_.add_argument("file", help='esmtproutes, "-" for standard input')
        verbs.add_parser("export", help="print the routes in Courier's form")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                self.show([_row(route) for route in Route.objects.all()], options["json"])
            case "remove":
                self.remove(options["domain"], options["sender"])
            case "import":
                self.import_(options["file"])
            case "export":
                self.export()

    def set(self, options: dict[str, Any]) -> None:
        domain, (host, port) = _stored_domain(options["domain"]), _relay(options["relay"])
        password = _password(options)
        default_port = SMTPS_PORT if options["security"] == Route.Security.SMTPS else SMTP_PORT
        with policy_change():
            route = _find(domain, options["sender"]) or Route(domain=domain)
            route.sender, route.relay, route.port = options["sender"], host, port or default_port
            route.security, route.ip_version = options["security"], options["ip_version"]
            # The old password was for the old relay: a new one is given or there is none.
            route.user = options["user"] or ""
            if password:
                route.set_password(password)
            if options["note"] is not None:
                route.note = options["note"]
            route.full_clean()
            route.save()
        self.stdout.write(str(route))

    def remove(self, domain: str, sender: str) -> None:
        with policy_change():
            route = _find(_stored_domain(domain), sender)
            if route is None:
                whose = f" and {sender}" if sender else ""
                raise CommandError(f"there is no route for {domain}{whose}")
            route.delete()
        self.stdout.write(f"{domain} is removed")

    def import_(self, name: str) -> None:
        lines = _sentence(esmtproutes.parse, _read(name))
        with policy_change():
            for line in lines:
                _store(line)
        self.stdout.write(f"{len(lines)} routes are set")

    def export(self) -> None:
        """What the form cannot say stands in comments, so that nobody takes it for all."""
        plain: list[Line] = []
        for route in Route.objects.all():
            if route.sender or route.relay == DISCARD or not route.has_relay:
                self.stdout.write(f"# not in this form: {route}")
                continue
            if route.user:
                self.stdout.write(f"# signs in as {route.user}: {route}")
            plain.append(route.line())
        self.stdout.write(esmtproutes.write(plain), ending="")


def _add_set(parser: CommandParser) -> None:
    _add_key(parser)
    parser.add_argument(
        "relay",
        help=f'HOST[:PORT], [ADDRESS][:PORT], {FORMS}, "discard", or "mx" for what the DNS says',
    )
    parser.add_argument(
        "--security",
        choices=[value for value in Route.Security.values if value],
        default="",
        help="REQUIRED: TLS or not at all; STARTTLS: and its certificate proves the name; "
        "SMTPS: TLS from the first byte; NONE: never",
    )
    versions = parser.add_mutually_exclusive_group()
    versions.add_argument(
        "--ipv4only", dest="ip_version", action="store_const", const=Route.IpVersion.ONLY_4.value
    )
    versions.add_argument(
        "--ipv6only", dest="ip_version", action="store_const", const=Route.IpVersion.ONLY_6.value
    )
    parser.set_defaults(ip_version="")
    parser.add_argument("--user", help="sign in at the relay as this user")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    parser.add_argument("--note")


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help='a domain, ".domain" for its sub-domains, or "*"')
    parser.add_argument(
        "--sender", default="", help="only for mail of this address or domain of a sender"
    )


def _find(domain: str, sender: str) -> Route | None:
    return Route.objects.filter(domain=domain, sender=sender.strip().lower()).first()


def _store(line: Line) -> None:
    """Set a route for all senders; a user it had goes with its old relay."""
    route = _find(line.domain, "") or Route(domain=line.domain)
    moved = (route.relay, route.port) != (line.relay, line.port)
    route.relay, route.port = line.relay, line.port
    route.security, route.ip_version = line.security.value, line.ip_version.value
    if moved:
        route.user = ""
    route.full_clean()
    route.save()


def _password(options: dict[str, Any]) -> str:
    """From standard input: the command line of a process is for everybody to read."""
    if bool(options["user"]) != options["password_stdin"]:
        raise CommandError("--user and --password-stdin go together")
    return sys.stdin.readline().rstrip("\r\n") if options["password_stdin"] else ""


def _stored_domain(text: str) -> str:
    return _sentence(esmtproutes.parse_domain, text)


def _relay(text: str) -> tuple[str, int]:
    if text == DISCARD:
        return DISCARD, 0
    if text in ("", _MX):
        return "", 0
    if is_target(text):
        return _sentence(parse_target, text), 0
    return _sentence(esmtproutes.parse_relay, text)


def _sentence(parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    """What `parse` makes of the text; its ValueError as a CommandError."""
    try:
        return parse(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{name}: {error}") from error


def _row(route: Route) -> dict[str, Any]:
    return {
        "domain": route.domain,
        "sender": route.sender,
        "relay": route.relay,
        "port": route.port,
        "security": route.security,
        "ip_version": route.ip_version,
        "user": route.user,
        "note": route.note,
    }
