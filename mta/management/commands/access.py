"""access set|list|remove: what client networks may do."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import AccessRule
from mta.models.access import normalize_prefix


class Command(ApplianceCommand):
    help = "Set, list or remove what client networks may do."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help="say what a network may do")
        set_.add_argument("prefix", help="an address or a network such as 192.0.2.0/24")
        set_.add_argument("action", choices=AccessRule.Action.values)
        set_.add_argument("relay", nargs="?", choices=["relay"], help="may send anywhere")
        set_.add_argument("--text", help="what a denied client reads")
        set_.add_argument("--note")
        set_.add_argument(
            "--confirm", metavar="PREFIX", help="the prefix again, for relaying by a vast network"
        )
        add_json(verbs.add_parser("list", help="list the rules"))
        remove = verbs.add_parser("remove", help="take a rule away")
        remove.add_argument("prefix")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                rows = [_row(rule) for rule in AccessRule.objects.all()]
                self.show(rows, options["json"])
            case "remove":
                self.remove(options["prefix"])

    def set(self, options: dict[str, Any]) -> None:
        prefix = stored_prefix(options["prefix"])
        with policy_change():
            rule = AccessRule.objects.filter(prefix=prefix).first() or AccessRule(prefix=prefix)
            rule.action = options["action"]
            rule.relay = options["relay"] == "relay"
            for name in ("text", "note"):
                if options[name] is not None:
                    setattr(rule, name, options[name])
            rule.full_clean()
            if rule.is_wide_relay and options["confirm"] != options["prefix"]:
                raise CommandError(
                    f"{prefix} is a large part of the Internet; to let all of it relay, add"
                    f" --confirm {options['prefix']}"
                )
            rule.save()
        self.stdout.write(str(rule))

    def remove(self, prefix: str) -> None:
        with policy_change():
            removed, _ = AccessRule.objects.filter(prefix=stored_prefix(prefix)).delete()
        if not removed:
            raise CommandError(f"there is no rule for {prefix}")
        self.stdout.write(f"{prefix} is removed")


def stored_prefix(text: str) -> str:
    """The network as it is stored. Raises CommandError."""
    try:
        return normalize_prefix(text)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _row(rule: AccessRule) -> dict[str, Any]:
    return {
        "prefix": rule.prefix,
        "action": rule.action,
        "relay": rule.relay,
        "text": rule.text,
        "note": rule.note,
    }
