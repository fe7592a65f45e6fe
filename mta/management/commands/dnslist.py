"""dnslist set|list|remove: DNS lists that are asked about every client."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import DnsList, RuleState

_FIELDS = ("zone", "action", "state", "answers", "text", "position", "note")


class Command(ApplianceCommand):
    help = "Set, list or remove DNS lists that are asked about every client."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help="ask a list, or change how")
        set_.add_argument("zone")
        action = set_.add_mutually_exclusive_group()
        action.add_argument(
            "--allow",
            dest="action",
            action="store_const",
            const=DnsList.Action.ALLOW,
            help="who is listed is allowed",
        )
        action.add_argument(
            "--block",
            dest="action",
            action="store_const",
            const=DnsList.Action.BLOCK,
            help="who is listed is refused (as when neither is said)",
        )
        set_.add_argument(
            "--answers", nargs="*", metavar="ANSWER", help="only these A answers, such as 127.0.0.2"
        )
        set_.add_argument("--text", help='what a listed client reads; "*" for the TXT record')
        set_.add_argument("--state", choices=RuleState.State.values)
        set_.add_argument("--position", type=int, help="the lowest number that blocks answers")
        set_.add_argument("--note")
        add_json(verbs.add_parser("list", help="list the lists"))
        remove = verbs.add_parser("remove", help="ask a list no more")
        remove.add_argument("zone")
        remove.add_argument("--answers", nargs="*", metavar="ANSWER", help="only this row of it")

    def handle(self, *args: Any, **options: Any) -> None:
        _check(options.get("answers") or ())
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                self.show(list(DnsList.objects.values(*_FIELDS)), options["json"])
            case "remove":
                self.remove(options["zone"], options["answers"])

    def set(self, options: dict[str, Any]) -> None:
        with policy_change():
            zone = stored_zone(options["zone"])
            row = self._existing(zone, options["answers"])
            for name in ("action", "text", "state", "position", "note"):
                if options[name] is not None:
                    setattr(row, name, options[name])
            row.full_clean()
            row.save()
        self.stdout.write(f"{row.zone}: {row.action}, {row.get_state_display().lower()}")

    def remove(self, text: str, answers: list[str] | None) -> None:
        with policy_change():
            removed, _ = _rows(stored_zone(text), answers).delete()
        if not removed:
            raise CommandError(f"{text} is not asked")
        self.stdout.write(f"{text} is removed")

    def _existing(self, zone: str, answers: list[str] | None) -> DnsList:
        """The row that is meant, or a new one. One zone may have a row for each kind of answer."""
        rows = list(_rows(zone, answers)[:2])
        if len(rows) > 1:
            raise CommandError(f"{zone} has several rows: name one by its --answers")
        return rows[0] if rows else DnsList(zone=zone, answers=" ".join(answers or ()))


def stored_zone(text: str) -> str:
    """The zone as it is stored. Raises ValidationError."""
    probe = DnsList(zone=text)
    probe.clean()
    return probe.zone


def _check(answers: Sequence[str]) -> None:
    """Raises CommandError unless they are addresses or networks, which a rule can compare."""
    for answer in answers:
        try:
            IPv4Network(answer, strict=False)
        except ValueError as error:
            raise CommandError(f"--answers: {error}") from error


def _rows(zone: str, answers: list[str] | None) -> QuerySet[DnsList]:
    rows = DnsList.objects.filter(zone=zone)
    return rows if answers is None else rows.filter(answers=" ".join(answers))
