"""program set|list|remove: programs that routes hand mail to."""

import argparse

from mta.management.target_command import TargetCommand, duration, size
from mta.models import Program

_SWITCHES = {
    "separately": "one run for each recipient; else one for all of a message",
    "crlf": "CRLF line ends; else LF",
    "return_path": "begin with Return-Path",
    "delivered_to": "add Delivered-To",
    "from_line": "begin with a From_ line",
}


class Command(TargetCommand):
    help = (
        "Set, list or remove programs. A route to pipe:NAME hands mail to one: "
        "program set archive --user archiver --run /usr/local/bin/archive '${recipient}'"
    )
    model = Program
    columns = ("argv", "user", "timeout", "memory", "cpu", *_SWITCHES)

    def add_columns(self, parser: argparse.ArgumentParser) -> None:
        argv = Program._meta.get_field("argv")
        parser.add_argument(
            "--run",
            dest="argv",
            nargs=argparse.REMAINDER,
            metavar="ARGUMENT",
            help=f"the last option, all the rest is the program's: {argv.help_text}",
        )
        parser.add_argument("--user", help="the account it runs as, nobody unless set")
        parser.add_argument("--memory", type=size, help="how much it may use: 256M; 0 for any")
        parser.add_argument("--cpu", type=duration, help="processor time it may use; 0 for any")
        for name, text in _SWITCHES.items():
            flag = f"--{name.replace('_', '-')}"
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)

    def set(self, options: dict[str, object]) -> None:
        # None said is none changed.
        options["argv"] = options["argv"] or None
        super().set(options)
