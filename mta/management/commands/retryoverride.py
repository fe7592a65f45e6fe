"""retryoverride set|list|remove: times of the queue for one domain or one transport."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.management.quantity import format_duration, parse_duration
from mta.models import RetryOverride
from mta.models.retry_override import TIMES

_NUMBERS = ("retrybeta", "retrymaxdelta")


class Command(ApplianceCommand):
    help = "Set, list or remove retry and queue times of a domain or a transport."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help="say what differs there")
        _add_key(set_)
        for name in TIMES:
            field = RetryOverride._meta.get_field(name)
            set_.add_argument(f"--{name}", help=getattr(field, "help_text", ""))
        set_.add_argument("--unset", nargs="*", choices=TIMES, default=[], metavar="NAME")
        set_.add_argument("--note")
        add_json(verbs.add_parser("list", help="list them"))
        _add_key(verbs.add_parser("remove", help="let it be as everywhere"))

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                self.show([_row(row) for row in RetryOverride.objects.all()], options["json"])
            case "remove":
                self.remove(options["scope"], options["name"])

    def set(self, options: dict[str, Any]) -> None:
        with policy_change():
            row = _existing(options["scope"], options["name"])
            for name in options["unset"]:
                setattr(row, name, None)
            for name in TIMES:
                if options[name] is not None:
                    setattr(row, name, _parse(name, options[name]))
            if options["note"] is not None:
                row.note = options["note"]
            row.full_clean()
            row.save()
        self.stdout.write(f"{row}: {_words(row) or 'as everywhere'}")

    def remove(self, scope: str, name: str) -> None:
        with policy_change():
            row = _existing(scope, name)
            if row.pk is None:
                raise CommandError(f"{row} has no times of its own")
            row.delete()
        self.stdout.write(f"{row} is removed")


def _add_key(parser: CommandParser) -> None:
    parser.add_argument("scope", choices=RetryOverride.Scope.values)
    parser.add_argument("name", help="a domain, .domain for its sub-domains, or a transport")


def _existing(scope: str, name: str) -> RetryOverride:
    """The row of that name, or a new one. Raises ValidationError."""
    probe = RetryOverride(scope=scope, name=name)
    probe.clean()
    return RetryOverride.objects.filter(scope=scope, name=probe.name).first() or probe


def _parse(name: str, text: str) -> timedelta | int:
    try:
        return int(text) if name in _NUMBERS else parse_duration(text)
    except ValueError as error:
        raise CommandError(f"--{name}: {error}") from error


def _row(row: RetryOverride) -> dict[str, Any]:
    return {"scope": row.scope, "name": row.name, "times": _words(row), "note": row.note}


def _words(row: RetryOverride) -> str:
    return ", ".join(
        f"{name} {format_duration(value) if isinstance(value, timedelta) else value}"
        for name, value in row.times.items()
    )
