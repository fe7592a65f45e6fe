"""alias set|list|remove|import: names that stand for other addresses."""

import errno
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from mta import runtime
from mta.management.appliance_command import (
    ApplianceCommand,
    add_json,
    printable,
    validation_sentence,
)
from mta.management.policy_change import policy_change
from mta.models import Alias
from mta.models.alias import normalize_alias_name
from mta.protocol import address, alias_program, aliases_file

IMPORT_BATCH = 1000
LARGEST_LIST = 64 * 1024 * 1024


class Command(ApplianceCommand):
    help = "Set, list or remove aliases, or import a file in sendmail's syntax."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="set|list|remove|import")
        set_ = verbs.add_parser("set", help="say what a name stands for")
        set_.add_argument("name", help="name, name@domain or @domain")
        set_.add_argument(
            "targets",
            nargs="+",
            metavar="target",
            help="an address, or what is run or written as the setting aliasuser: "
            "'|command args', /file",
        )
        add_json(verbs.add_parser("list", help="list the aliases"))
        remove = verbs.add_parser("remove", help="take an alias away")
        remove.add_argument("name")
        import_ = verbs.add_parser("import", help="read a file in sendmail's syntax")
        import_.add_argument("file", help="- for standard input")
        import_.add_argument(
            "--skip-unsupported",
            action="store_true",
            help="leave out files and commands in included lists",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "set":
                self.set(options["name"], options["targets"])
            case "list":
                rows = [{"name": row.name, "targets": row.targets} for row in Alias.objects.all()]
                self.show(rows, options["json"])
            case "remove":
                self.remove(options["name"])
            case "import":
                self.import_file(options["file"], options["skip_unsupported"])

    def set(self, name: str, targets: list[str]) -> None:
        name = stored_name(name)
        with policy_change():
            alias = Alias.objects.filter(name=name).first() or Alias(name=name)
            whole = name.startswith("@")
            alias.targets = targets if whole else [_whole_target(target) for target in targets]
            alias.full_clean()
            alias.save()
        self.stdout.write(f"{alias.name} stands for {', '.join(alias.targets)}")

    def remove(self, name: str) -> None:
        with policy_change():
            removed, _ = Alias.objects.filter(name=stored_name(name)).delete()
        if not removed:
            raise CommandError(f"{name} is no alias here")
        self.stdout.write(f"{name} is removed")

    def import_file(self, file: str, skip_unsupported: bool) -> None:
        try:
            text = read_file(file)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{file} is not UTF-8 text") from error
        table = aliases_file.load(text, runtime.hostname(), read_included)
        for problem in table.mistakes:
            self.stderr.write(f"{file}: {printable(str(problem))}")
        for problem in table.unsupported:
            self.stderr.write(f"{file}: {printable(str(problem))} is not supported")
        if table.mistakes:
            raise CommandError("nothing was imported: correct the lines above")
        if table.unsupported and not skip_unsupported:
            raise CommandError("nothing was imported: --skip-unsupported leaves these out")
        with policy_change():
            added, changed = _store(table.entries)
        same = len(table.entries) - added - changed
        self.stdout.write(f"{added} added, {changed} changed, {same} as they were")


def stored_name(text: str) -> str:
    """The name of an alias as it is stored. Raises CommandError."""
    try:
        return normalize_alias_name(with_domain(text))
    except address.AddressError as error:
        raise CommandError(f"{text}: {error}") from error


def _whole_target(text: str) -> str:
    instruction = alias_program.bare(text)
    return instruction if alias_program.is_instruction(instruction) else with_domain(text)


def with_domain(text: str) -> str:
    return text if "@" in text else f"{text}@{runtime.hostname()}"


def read_file(path: str) -> str:
    """A file, or standard input for "-". Raises OSError, UnicodeDecodeError."""
    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    return data.decode("utf-8")


def read_included(path: str) -> str:
    """A list that an aliases file includes. Raises OSError, UnicodeDecodeError."""
    # A device has no end, and a pipe may never begin.
    if Path(path).exists() and not Path(path).is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    if Path(path).stat().st_size > LARGEST_LIST:
        raise OSError(errno.EFBIG, f"larger than {LARGEST_LIST} octets")
    return read_file(path)


def _store(entries: dict[str, list[str]]) -> tuple[int, int]:
    """Write what differs from the database; gives how many were added and changed."""
    known = dict(Alias.objects.filter(name__in=list(entries)).values_list("name", "targets"))
    differing = []
    for name, targets in entries.items():
        alias = Alias(name=name, targets=targets)
        try:
            alias.full_clean(validate_unique=False)
        except ValidationError as error:
            raise CommandError(f"{name}: {validation_sentence(error)}") from error
        if known.get(alias.name) != alias.targets:
            differing.append(alias)
    Alias.objects.bulk_create(
        differing,
        batch_size=IMPORT_BATCH,
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["targets"],
    )
    changed = sum(alias.name in known for alias in differing)
    return len(differing) - changed, changed
