"""sendmail: a message on standard input goes into the queue (Courier's options, spec 9.5).

This is for whoever may run the appliance; `deploy/sendmail` is for every user of the host.
"""

import getpass
import os
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from mta.management.appliance_command import ApplianceCommand, quiet_mail_log
from mta.management.local_mail import EX_OK, Caller, full_name_of, take


class Command(ApplianceCommand):
    help = "Queue the message on standard input; its options are those of sendmail."

    def run_from_argv(self, argv: list[str]) -> None:
        """Everything behind the command's name is sendmail's, not argparse's."""
        if argv[2:] == ["--help"]:
            self.print_help(argv[0], argv[1])
            return
        quiet_mail_log()
        try:
            self.send(argv[2:])
        except CommandError as error:
            self.stderr.write(f"sendmail: {error}")
            sys.exit(error.returncode)
        finally:
            connections.close_all()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("args", nargs="*", metavar="recipient")

    def handle(self, *args: Any, **options: Any) -> None:
        self.send(args)

    def send(self, arguments: list[str] | tuple[str, ...]) -> None:
        """Queue what standard input holds. Raises CommandError with the exit status."""
        caller = Caller(_account(), full_name_of(os.getuid()), os.environ, os.getuid())
        result = take(arguments, caller, sys.stdin.buffer)
        if result.code != EX_OK:
            raise CommandError(result.complaint, returncode=result.code)
        if result.printed:
            self.stdout.write(result.printed)


def _account() -> str:
    return os.environ.get("LOGNAME") or os.environ.get("USER") or getpass.getuser()
