"""sendmail: a message on standard input goes into the queue (Courier's options, spec 9.5).

Exit status: 0 queued, 64 wrong options, 67 refused for good, 75 try again later.
"""

import getpass
import os
import pwd
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, connections
from django.utils import timezone

from mta import runtime
from mta.management.appliance_command import (
    ApplianceCommand,
    database_sentence,
    quiet_mail_log,
)
from mta.management.sendmail_options import Options, UsageError, parse_options
from mta.models import Settings
from mta.protocol import status
from mta.protocol.submission import Draft, SubmissionError, build

EX_USAGE = 64
EX_NOUSER = 67
EX_TEMPFAIL = 75


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
        try:
            options = parse_options(arguments)
            limit = Settings.load().sizelimit
            envelope, content = build(_draft(options, _read(limit)))
            if options.print_only:
                self.stdout.write(content.replace(b"\r\n", b"\n").decode("utf-8", "replace"))
                return
            runtime.enqueue(envelope, content)
        except UsageError as error:
            raise CommandError(str(error), returncode=EX_USAGE) from error
        except SubmissionError as error:
            code = EX_NOUSER if error.reply.is_permanent else EX_TEMPFAIL
            raise CommandError(str(error.reply), returncode=code) from error
        except DatabaseError as error:
            raise CommandError(database_sentence(error), returncode=EX_TEMPFAIL) from error


def _draft(options: Options, content: bytes) -> Draft:
    author = options.sender or _author(os.environ, runtime.hostname())
    return Draft(
        content=content,
        hostname=runtime.hostname(),
        reverse_path=_reverse_path(os.environ, options, runtime.hostname()),
        author=author,
        at=timezone.now(),
        unique=f"{secrets.token_hex(8)}.{os.getpid()}",
        author_name=options.full_name or _full_name(os.environ),
        recipients=options.recipients,
        bcc_only=options.bcc_only,
        notify=options.notify,
        ret=options.ret,
        envid=options.envid,
        verp=options.verp,
    )


def _read(limit: int) -> bytes:
    """Standard input, up to the size limit. Raises SubmissionError beyond it."""
    content = sys.stdin.buffer.read(limit + 1)
    if len(content) > limit:
        raise SubmissionError(552, status.TOO_BIG, f"the message is larger than {limit} octets")
    return content


def _reverse_path(environ: Mapping[str, str], options: Options, hostname: str) -> str:
    if options.sender is not None:
        return options.sender
    user = environ.get("MAILSUSER") or _user(environ)
    host = environ.get("MAILSHOST") or environ.get("MAILHOST") or hostname
    return f"{user}@{host}"


def _author(environ: Mapping[str, str], hostname: str) -> str:
    return f"{_user(environ)}@{environ.get('MAILHOST') or hostname}"


def _user(environ: Mapping[str, str]) -> str:
    for name in ("MAILUSER", "LOGNAME", "USER"):
        if environ.get(name):
            return environ[name]
    return getpass.getuser()


def _full_name(environ: Mapping[str, str]) -> str:
    """The sender's display name: from the environment, else from the account."""
    given = environ.get("MAILNAME") or environ.get("NAME")
    if given:
        return given
    try:
        return pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0]
    except KeyError:
        return ""
