"""aliaslookup: what an address leads to, step by step."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.address_lookup import End, Lookup, NoAddress, as_json, look_up
from mta.management.appliance_command import ApplianceCommand, add_json, printable


class Command(ApplianceCommand):
    help = "Show what an address leads to, step by step, and where each end is delivered."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="name@domain, or a name of this host")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lookup = look_up(options["address"])
        except NoAddress as error:
            raise CommandError(f"{options['address']}: {error}") from error
        if options["json"]:
            self.write_json(as_json(lookup))
            return
        for line in _lines(lookup):
            self.stdout.write(printable(line))


def _lines(lookup: Lookup) -> Iterator[str]:
    resolution = lookup.resolution
    yield f"{resolution.address}: {lookup.verdict}; policy version {lookup.policy_version}"
    yield from (f"  > {step}" for step in resolution.steps)
    yield from (f"  = {_end(end)}" for end in lookup.ends)


def _end(end: End) -> str:
    if not end.transport:
        return f"{end.address}: {end.standing}, fails"
    hop = f" to {end.nexthop}" if end.nexthop else ""
    route = f" by the route {end.route}" if end.route else ""
    return f"{end.address}: {end.standing}, {end.transport}{hop}{route}"
