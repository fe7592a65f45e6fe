"""What the commands of the appliance share: clear errors, and listings as a table or as JSON."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, ProgrammingError

from mta.protocol.queue_id import decode_queue_id

NOT_RUNNING = (
    "the appliance is not running: its database does not answer (start it with deploy/run)"
)
NOT_MIGRATED = "the database has no mail tables yet (deploy/run makes them)"


class ApplianceCommand(BaseCommand):
    """A command whose troubles end as one sentence on stderr and a non-zero exit."""

    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        quiet_mail_log()
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except ValidationError as error:
            raise CommandError(validation_sentence(error)) from error
        except DatabaseError as error:
            raise CommandError(database_sentence(error)) from error
        except UnicodeEncodeError as error:
            raise CommandError(f"{ascii(error.object)} is not valid UTF-8") from error

    def show(self, rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
        """Print rows that share their keys: JSON, or a table with the keys as its head."""
        if as_json:
            self.write_json(rows)
        elif rows:
            self.write_table(rows)

    def write_json(self, value: object) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))

    def write_table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        head = list(rows[0])
        lines = [head, *([_cell(row[key]) for key in head] for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def quiet_mail_log() -> None:
    """From a shell the mail log would be noise on stderr: commands say themselves what they did."""
    logging.getLogger("mta.maillog").setLevel(logging.ERROR)


def add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def message_ids(queue_ids: Iterable[str]) -> tuple[int, ...]:
    """The message ids of queue ids that were typed. Raises CommandError."""
    try:
        return tuple(decode_queue_id(text) for text in queue_ids)
    except ValueError as error:
        raise CommandError(str(error)) from error


def validation_sentence(error: ValidationError) -> str:
    """The messages of a model's validation as one line."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    parts = []
    for name, messages in error.message_dict.items():
        text = " ".join(messages)
        parts.append(text if name == "__all__" else f"{name}: {text}")
    return "; ".join(parts)


def database_sentence(error: DatabaseError) -> str:
    cause = error.__cause__
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return NOT_RUNNING
    if isinstance(error, ProgrammingError) and isinstance(cause, psycopg.errors.UndefinedTable):
        return NOT_MIGRATED
    return f"the database refused: {str(error).strip().splitlines()[0]}"


def printable(text: str) -> str:
    """Text from mail for a terminal: no control characters."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return printable(", ".join(map(str, value)))
    return "" if value is None else printable(str(_plain(value)))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if not isinstance(value, int) else value
