"""limit set|list|remove: how much goes at once, and in a minute, to a destination or mailbox."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import DeliveryLimit

_FIELDS = ("scope", "transport", "nexthop", "simultaneous", "per_minute", "note")


class Command(ApplianceCommand):
    help = "Limit deliveries: of a transport, to a destination, or into a mailbox."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help="set a limit, or change it")
        remove = verbs.add_parser("remove", help="limit it no more")
        for one in (set_, remove):
            one.add_argument("scope", choices=DeliveryLimit.Scope.values)
            one.add_argument(
                "name",
                nargs="?",
                default="*",
                help='next hop ("mx:example.org") or mailbox; "*" for each without a row',
            )
            one.add_argument("--transport", default="esmtp")
        set_.add_argument("--simultaneous", type=int, help="deliveries at once")
        set_.add_argument("--per-minute", type=int, help="messages a minute")
        set_.add_argument("--note")
        add_json(verbs.add_parser("list", help="list the limits"))

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                self.show(list(DeliveryLimit.objects.values(*_FIELDS)), options["json"])
            case "remove":
                self.remove(options)

    def set(self, options: dict[str, Any]) -> None:
        with policy_change():
            row = DeliveryLimit.objects.filter(**_key(options)).first()
            row = row or DeliveryLimit(**_key(options))
            for name in ("simultaneous", "per_minute", "note"):
                if options[name] is not None:
                    setattr(row, name, options[name])
            row.full_clean()
            row.save()
        self.stdout.write(str(row))

    def remove(self, options: dict[str, Any]) -> None:
        with policy_change():
            removed, _ = DeliveryLimit.objects.filter(**_key(options)).delete()
        if not removed:
            raise CommandError(f"no limit is set for this {options['scope']}")
        self.stdout.write("removed")


def _key(options: dict[str, Any]) -> dict[str, str]:
    """Mailboxes are delivered to by the local transport unless another is named."""
    scope, transport = options["scope"], options["transport"]
    if scope == DeliveryLimit.Scope.MAILBOX and transport == "esmtp":
        transport = "local"
    return {"scope": scope, "transport": transport, "nexthop": options["name"]}
