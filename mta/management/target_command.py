"""What the commands of programs and webhooks share: rows known by a name that routes use."""

import argparse
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.management.quantity import format_duration, parse_duration, parse_size
from mta.models.named_target import NamedTarget

_Parsed = TypeVar("_Parsed")


class TargetCommand(ApplianceCommand):
    """`model` rows by name. `columns` are shown by `list`, in this order, behind the name."""

    model: ClassVar[type[NamedTarget]]
    columns: ClassVar[tuple[str, ...]]

    def add_arguments(self, parser: CommandParser) -> None:
        noun = self.model._meta.verbose_name
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help=f"add or change a {noun}")
        set_.add_argument("name")
        self.add_columns(set_)
        set_.add_argument("--timeout", type=duration, help="its time: 90s, 5m")
        set_.add_argument("--simultaneous", type=int, help="deliveries at once; 0 as the settings")
        set_.add_argument(
            "--enabled", action=argparse.BooleanOptionalAction, help="without, its mail waits"
        )
        set_.add_argument("--note")
        add_json(verbs.add_parser("list", help="list them"))
        verbs.add_parser("remove", help=f"take a {noun} away").add_argument("name")

    def add_columns(self, parser: argparse.ArgumentParser) -> None:
        """The options that are this model's own, each called as its field."""
        raise NotImplementedError

    def prepare(self, row: NamedTarget, options: dict[str, Any]) -> None:
        """What a row needs besides its fields, before it is checked."""

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options)
            case "list":
                rows = self.model._default_manager.all()
                self.show([self._row(row) for row in rows], options["json"])
            case "remove":
                self.remove(options["name"])

    def set(self, options: dict[str, Any]) -> None:
        with policy_change():
            row = self._find(options["name"]) or self.model(name=options["name"])
            for field in self.model._meta.concrete_fields:
                value = options.get(field.name)
                if value is not None and field.name != "name":
                    setattr(row, field.name, value)
            self.prepare(row, options)
            row.full_clean()
            row.save()
            if options["simultaneous"] is not None:
                row.set_simultaneous(options["simultaneous"] or None)
        self.stdout.write(f"a route to {row.nexthop} hands mail to it")

    def remove(self, name: str) -> None:
        with policy_change():
            row = self._find(name)
            if row is None:
                raise CommandError(f"there is no {self.model._meta.verbose_name} {name}")
            row.delete()
        self.stdout.write(f"{name} is removed")

    def _find(self, name: str) -> NamedTarget | None:
        return self.model._default_manager.filter(name=name).first()

    def _row(self, row: NamedTarget) -> dict[str, Any]:
        names = ("name", *self.columns, "simultaneous", "enabled", "note")
        return {name: _shown(getattr(row, name)) for name in names}


def _shown(value: object) -> object:
    return format_duration(value) if isinstance(value, timedelta) else value


def duration(text: str) -> timedelta:
    return _parsed(parse_duration, text)


def size(text: str) -> int:
    return _parsed(parse_size, text)


def _parsed(parse: Callable[[str], _Parsed], text: str) -> _Parsed:
    """For argparse, which keeps the sentence of this error only."""
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
