"""webhook set|list|remove: web servers that routes hand mail to."""

import argparse
import sys
from typing import Any

from mta.management.target_command import TargetCommand, size
from mta.models import Webhook
from mta.models.named_target import NamedTarget


class Command(TargetCommand):
    help = (
        "Set, list or remove webhooks. A route to http:NAME posts mail to one. A new one gets a "
        "secret, which is shown this once."
    )
    model = Webhook
    columns = ("url", "form", "timeout", "sizelimit", "private")

    def add_columns(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("url", nargs="?", help="https://..., http://... in a private network")
        parser.add_argument("--form", choices=Webhook.Form.values, help="raw unless set")
        parser.add_argument("--sizelimit", type=size, help="largest message it takes: 10M; 0 any")
        parser.add_argument(
            "--private",
            action=argparse.BooleanOptionalAction,
            help="it may be on this machine or in a private network",
        )
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument(
            "--secret-stdin", action="store_true", help="read the secret from standard input"
        )
        secret.add_argument("--new-secret", action="store_true", help="make another one")

    def prepare(self, row: NamedTarget, options: dict[str, Any]) -> None:
        """The command line of a process is for everybody to read, so no secret is in it."""
        assert isinstance(row, Webhook)
        if options["secret_stdin"]:
            row.set_secret(sys.stdin.readline().rstrip("\r\n"))
        elif options["new_secret"] or not row.secret:
            options["made"] = row.make_secret()

    def set(self, options: dict[str, Any]) -> None:
        super().set(options)
        if "made" in options:
            self.stdout.write(f"its secret, which is not shown again: {options['made']}")
