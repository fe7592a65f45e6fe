"""explain: what a session would be told and why, without it."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.explain import explain
from mta.explanation import LISTENERS, BadRequest, Request, as_json
from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.explanation_text import lines

MOST_OCTETS = 256 * 1024 * 1024


class Command(ApplianceCommand):
    help = (
        "Explain what a client would be told, rule by rule, and where its message would go. "
        "Nothing is sent, queued or recorded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--client", required=True, metavar="IP", help="the client's address")
        parser.add_argument("--helo", default="", metavar="NAME", help="what it calls itself")
        parser.add_argument("--tls", action="store_true", help="it has used STARTTLS")
        parser.add_argument("--auth", default="", metavar="USER", help="it has signed in")
        parser.add_argument("--listener", choices=LISTENERS, default="smtp")
        parser.add_argument(
            "--from", dest="sender", required=True, metavar="ADDR", help="<> for the null sender"
        )
        parser.add_argument(
            "--to", dest="recipients", required=True, nargs="+", action="extend", metavar="ADDR"
        )
        parser.add_argument("--message", metavar="FILE", help="its message; - for standard input")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        request = Request(
            client_ip=options["client"],
            reverse_path=options["sender"],
            recipients=tuple(options["recipients"]),
            helo=options["helo"],
            listener=options["listener"],
            tls=options["tls"],
            auth_user=options["auth"],
            content=_read(options["message"]),
        )
        try:
            explanation = explain(request)
        except BadRequest as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.write_json(as_json(explanation))
        else:
            for line in lines(explanation):
                self.stdout.write(line)


def _read(file: str | None) -> bytes | None:
    """The message, None when there is none to judge. Raises CommandError."""
    if file is None:
        return None
    try:
        if file == "-":
            content = sys.stdin.buffer.read(MOST_OCTETS + 1)
        else:
            with Path(file).open("rb") as source:
                content = source.read(MOST_OCTETS + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    if len(content) > MOST_OCTETS:
        raise CommandError(f"{file} is larger than {MOST_OCTETS} octets")
    return content
