"""setting list|set: the settings that are in force at once, under Courier's names."""

from datetime import timedelta
from typing import Any, TypeAlias

from django.core.management.base import CommandError, CommandParser
from django.db import models

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.management.quantity import format_duration, format_size, parse_duration, parse_size
from mta.models import Settings

# Django's fields can be subscripted by type checkers only.
Field: TypeAlias = "models.Field[Any, Any]"

_WORDS = {"on": True, "yes": True, "true": True, "1": True}
_WORDS |= {"off": False, "no": False, "false": False, "0": False}


class Command(ApplianceCommand):
    help = "List or change settings; durations as 4h or 1w2d, sizes as 50M."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|set")
        add_json(verbs.add_parser("list", help="list the settings"))
        set_ = verbs.add_parser("set", help="change a setting")
        set_.add_argument("name")
        set_.add_argument("value")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            row = Settings.load()
            self.show([_row(field, row) for field in _fields()], options["json"])
        else:
            self.set(options["name"], options["value"])

    def set(self, name: str, text: str) -> None:
        known = {field.name: field for field in _fields()}
        if name not in known:
            raise CommandError(f"there is no setting {name}; there are: {', '.join(known)}")
        with policy_change():
            row = Settings.load()
            try:
                setattr(row, name, _parse(known[name], text))
            except ValueError as error:
                raise CommandError(f"{name}: {error}") from error
            row.full_clean()
            row.save()
        self.stdout.write(f"{name} is {_format(getattr(row, name))}")


def _fields() -> list[Field]:
    return [field for field in Settings._meta.concrete_fields if not field.primary_key]


def _parse(field: Field, text: str) -> timedelta | bool | int | str:
    """The value of a setting as its kind wants it. Raises ValueError with a sentence."""
    if isinstance(field, models.DurationField):
        return parse_duration(text)
    if isinstance(field, models.BooleanField):
        if text.lower() not in _WORDS:
            raise ValueError(f"{text!r} is neither on nor off")
        return _WORDS[text.lower()]
    if isinstance(field, models.CharField | models.TextField):
        return text
    if isinstance(field, models.BigIntegerField):
        return parse_size(text)
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _format(value: object) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _row(field: Field, row: Settings) -> dict[str, Any]:
    value = getattr(row, field.name)
    size = isinstance(field, models.BigIntegerField)
    return {
        "name": field.name,
        "value": format_size(value) if size else _format(value),
        "default": format_size(field.default) if size else _format(field.default),
        "help": str(field.help_text),
    }
