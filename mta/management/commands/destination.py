"""destination list|show|pause|resume|probe: the hosts that mail goes to, and how they are."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import maillog, runtime
from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import command_actor
from mta.models import Destination
from mta.queue import destinations
from mta.queue.destinations import DestinationRow

_TRANSPORT = "esmtp"
_COLUMNS = ("nexthop", "state", "waiting", "active", "concurrency", "rate", "next_probe")


class Command(ApplianceCommand):
    help = "List the destinations of mail with their state, pause one, or resume it."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="list|show|pause|resume|probe"
        )
        listed = verbs.add_parser("list", help="list them, those in trouble first")
        listed.add_argument("--state", choices=Destination.State.values, default="")
        add_json(listed)
        for verb, text in (
            ("show", "tell all that is known of one"),
            ("pause", "deliver nothing to it until it is resumed"),
            ("resume", "deliver to it again"),
            ("probe", "try one that is down at once"),
        ):
            one = verbs.add_parser(verb, help=text)
            one.add_argument("name", help="a domain, or a next hop as `list` shows it")
            one.add_argument("--transport", default=_TRANSPORT)
            if verb == "show":
                add_json(one)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            found = [asdict(row) for row in destinations.listing(state=options["state"])]
            rows = found if options["json"] else [_short(row) for row in found]
            self.show(rows, options["json"])
            return
        name, transport = options["name"], options["transport"]
        match options["verb"]:
            case "show":
                row = asdict(_known(name, transport))
                if options["json"]:
                    self.write_json(row)
                else:
                    self.write_table([{"": key, " ": value} for key, value in row.items()])
            case "pause":
                self.pause(transport, name)
            case "resume":
                self.resume(_known(name, transport))
            case "probe":
                self.probe(_known(name, transport))

    def pause(self, transport: str, name: str) -> None:
        """One that nothing was sent to yet may be paused beforehand."""
        if not runtime.has_destinations(transport):
            raise CommandError(f"{transport} delivers here and has no destinations: hold its mail")
        nexthop = name if ":" in name or transport != _TRANSPORT else f"mx:{name.lower()}"
        destinations.pause(transport, nexthop)
        maillog.controlled("paused", command_actor(), 1, nexthop)
        self.stdout.write(f"{nexthop} is paused")

    def resume(self, row: DestinationRow) -> None:
        if not destinations.resume(row.transport, row.nexthop):
            raise CommandError(f"{row.nexthop} is not paused")
        maillog.controlled("resumed", command_actor(), 1, row.nexthop)
        runtime.nudge([row.transport])
        self.stdout.write(f"{row.nexthop} is resumed")

    def probe(self, row: DestinationRow) -> None:
        if not destinations.probe_now(row.transport, row.nexthop):
            raise CommandError(f"{row.nexthop} waits for no probe: it is {row.state}")
        runtime.nudge([row.transport])
        self.stdout.write(f"{row.nexthop} is tried now")


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _COLUMNS} | {"last_reply": row["last_reply"][:60]}


def _known(name: str, transport: str) -> DestinationRow:
    """Raises CommandError when nothing is known of it and nothing waits for it."""
    rows = [row for row in destinations.listing(name=name.lower()) if row.transport == transport]
    if not rows:
        raise CommandError(f"nothing waits for {name}, and nothing is known of it")
    return rows[0]
