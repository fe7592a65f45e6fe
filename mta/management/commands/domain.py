"""domain add|set|list|remove: the domains that mail is accepted for."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import ProtectedError

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.policy_change import policy_change
from mta.models import Domain
from mta.protocol import address


class Command(ApplianceCommand):
    help = "Add, change, list or remove domains that mail is accepted for."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|set|list|remove")
        add = verbs.add_parser("add", help="accept mail for a domain")
        add.add_argument("name")
        add.add_argument("--kind", choices=Domain.Kind.values, default=Domain.Kind.HOSTED)
        add.add_argument("--note", default="")
        set_ = verbs.add_parser("set", help="change a domain")
        set_.add_argument("name")
        for parser in (add, set_):
            parser.add_argument(
                "--separators", metavar="CHARS", help="what sets an extension off (default: +)"
            )
        add_json(verbs.add_parser("list", help="list the domains"))
        remove = verbs.add_parser("remove", help="accept no more mail for a domain")
        remove.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "add":
                self.add(options["name"], options["kind"], options["note"], options["separators"])
            case "set":
                self.set(options["name"], options["separators"])
            case "list":
                rows = [
                    {
                        "name": row.name,
                        "kind": row.kind,
                        "separators": row.separators,
                        "note": row.note,
                    }
                    for row in Domain.objects.all()
                ]
                self.show(rows, options["json"])
            case "remove":
                self.remove(options["name"])

    def add(self, name: str, kind: str, note: str, separators: str | None) -> None:
        domain = Domain(name=name, kind=kind, note=note)
        if separators is not None:
            domain.separators = separators
        with policy_change():
            domain.clean()
            if Domain.objects.filter(name=domain.name).exists():
                raise CommandError(f"{domain.name} is there already")
            domain.full_clean()
            domain.save()
        self.stdout.write(f"{domain.name} is {domain.get_kind_display().lower()}")

    def set(self, name: str, separators: str | None) -> None:
        if separators is None:
            raise CommandError("nothing to change: --separators CHARS")
        with policy_change():
            domain = find_domain(name)
            domain.separators = separators
            domain.full_clean()
            domain.save()
        told = f"extensions are set off by {separators}" if separators else "no extensions"
        self.stdout.write(f"{domain.name}: {told}")

    def remove(self, name: str) -> None:
        with policy_change():
            domain = find_domain(name)
            mailboxes = domain.mailboxes.count()
            if mailboxes:
                raise CommandError(
                    f"{domain.name} still has mailboxes ({mailboxes}): remove them first"
                )
            try:
                domain.delete()
            except ProtectedError as error:
                raise CommandError(f"{domain.name} is still in use") from error
        self.stdout.write(f"{name} is removed")


def find_domain(name: str) -> Domain:
    """The domain of that name, however it is written. Raises CommandError."""
    wildcard = "." if name.startswith(".") else ""
    try:
        stored = wildcard + address.normalize_domain(name.removeprefix("."))
    except address.AddressError as error:
        raise CommandError(f"{name}: {error}") from error
    domain = Domain.objects.filter(name=stored).first()
    if domain is None:
        raise CommandError(f"{name} is no domain here (domain add {name} makes it one)")
    return domain
