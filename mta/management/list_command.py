"""What the commands of the plain lists share: set, list and remove rows known by one word."""

from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser
from django.db import models

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change


class ListCommand(ApplianceCommand):
    """`model` rows are known by the field `key`; `noun` is what a row is called.

    `columns` are the other fields, which `set` takes as options of the same name.
    """

    model: ClassVar[type[models.Model]]
    key: ClassVar[str]
    noun: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove")
        set_ = verbs.add_parser("set", help=f"add or change a {self.noun}")
        set_.add_argument("key", metavar=self.key)
        for name in self.columns:
            field = self.model._meta.get_field(name)
            set_.add_argument(f"--{name}", help=getattr(field, "help_text", ""))
        add_json(verbs.add_parser("list", help="list them"))
        remove = verbs.add_parser("remove", help=f"take a {self.noun} away")
        remove.add_argument("key", metavar=self.key)

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options["key"], options)
            case "list":
                rows = self.model._default_manager.values(self.key, *self.columns)
                self.show(list(rows), options["json"])
            case "remove":
                self.remove(options["key"])

    def set(self, text: str, options: dict[str, Any]) -> None:
        with policy_change():
            known = self.stored_key(text)
            row = self.find(known) or self.model(**{self.key: known})
            for name in self.columns:
                if options[name] is not None:
                    setattr(row, name, options[name])
            row.full_clean()
            row.save()
        self.stdout.write(f"{known} is a {self.noun}")

    def remove(self, text: str) -> None:
        with policy_change():
            row = self.find(self.stored_key(text))
            if row is None:
                raise CommandError(f"{text} is no {self.noun}")
            row.delete()
        self.stdout.write(f"{getattr(row, self.key)} is removed")

    def stored_key(self, text: str) -> str:
        """The key as the model stores it. Raises ValidationError."""
        probe = self.model(**{self.key: text})
        probe.clean()
        return str(getattr(probe, self.key))

    def find(self, key: str) -> models.Model | None:
        return self.model._default_manager.filter(**{self.key: key}).first()
