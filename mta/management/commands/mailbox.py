"""mailbox add|set|list|remove|password: the virtual mailboxes."""

import argparse
import getpass
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta import runtime
from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.commands.domain import find_domain
from mta.management.policy_change import policy_change
from mta.management.quantity import parse_size
from mta.models import Mailbox
from mta.protocol import address


class Command(ApplianceCommand):
    help = "Add, change, list or remove mailboxes, or set the password of one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="add|set|list|remove|password"
        )
        add = verbs.add_parser("add", help="make a mailbox")
        add.add_argument("address")
        add.add_argument("--password", help="asked for when not given")
        set_ = verbs.add_parser("set", help="change a mailbox")
        set_.add_argument("address")
        for verb in (add, set_):
            _add_fields(verb)
        add_json(verbs.add_parser("list", help="list the mailboxes"))
        remove = verbs.add_parser("remove", help="take a mailbox away; its mail stays on disk")
        remove.add_argument("address")
        password = verbs.add_parser("password", help="set a password")
        password.add_argument("address")
        password.add_argument("--password", help="asked for when not given")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "add":
                self.add(options)
            case "set":
                self.set(options)
            case "list":
                rows = Mailbox.objects.select_related("domain")
                self.show([_row(mailbox) for mailbox in rows], options["json"])
            case "remove":
                self.remove(options["address"])
            case "password":
                self.set_password(options["address"], options["password"])

    def add(self, options: dict[str, Any]) -> None:
        local, domain_name = split_address(options["address"])
        fields = _given(options)
        domain = find_domain(domain_name)
        mailbox = Mailbox(domain=domain, local_part=local, **fields)
        mailbox.clean()
        if domain.mailboxes.filter(local_part=mailbox.local_part).exists():
            raise CommandError(f"{mailbox.address} is there already")
        mailbox.full_clean(exclude=["password"])
        mailbox.set_password(_password(options["password"]))
        with policy_change():
            mailbox.save()
        self.stdout.write(f"{mailbox.address} is a mailbox now")

    def set(self, options: dict[str, Any]) -> None:
        fields = _given(options)
        with policy_change():
            mailbox = find_mailbox(options["address"])
            for name, value in fields.items():
                setattr(mailbox, name, value)
            mailbox.full_clean(exclude=["password"])
            mailbox.save()
        self.stdout.write(f"{mailbox.address} is changed")

    def remove(self, text: str) -> None:
        with policy_change():
            mailbox = find_mailbox(text)
            mailbox.delete()
        path = runtime.mail_root() / mailbox.domain.name / mailbox.local_part
        self.stdout.write(f"{mailbox.address} is removed; mail it had stays in {path}")

    def set_password(self, text: str, given: str | None) -> None:
        mailbox = find_mailbox(text)
        mailbox.set_password(_password(given))
        with policy_change():
            mailbox.save(update_fields=["password", "scram"])
        self.stdout.write(f"{mailbox.address} has a new password")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quota", metavar="SIZE", help="such as 500M; 0 for none")
    parser.add_argument("--sizelimit", metavar="SIZE", help="largest message it takes")
    parser.add_argument(
        "--submission-sizelimit", metavar="SIZE", help="largest message its user may send"
    )
    parser.add_argument("--name", help="the person or role")
    parser.add_argument(
        "--own-filter",
        choices=("on", "off"),
        help="whether it may have rcptfilter and smtpfilter, programs that judge its mail",
    )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The fields that were given; sizes in octets. Raises CommandError."""
    fields: dict[str, Any] = {}
    for name in ("quota", "sizelimit", "submission_sizelimit"):
        if options[name] is None:
            continue
        try:
            fields[name] = parse_size(options[name])
        except ValueError as error:
            raise CommandError(f"--{name.replace('_', '-')}: {error}") from error
    if options["name"] is not None:
        fields["name"] = options["name"]
    if options["own_filter"] is not None:
        fields["own_filter"] = options["own_filter"] == "on"
    return fields


def split_address(text: str) -> tuple[str, str]:
    """(local part, domain) of an address that was typed. Raises CommandError."""
    try:
        return address.split(address.parse(text))
    except address.AddressError as error:
        raise CommandError(f"{text}: {error}") from error


def find_mailbox(text: str) -> Mailbox:
    """The mailbox of that address. Raises CommandError."""
    local, domain = split_address(text)
    found = Mailbox.objects.select_related("domain").filter(
        local_part=local.lower(), domain__name=domain
    )
    if not found:
        raise CommandError(f"{text} is no mailbox here")
    return found[0]


def _password(given: str | None) -> str:
    """The password from the option, from two equal answers, or from a line of a pipe."""
    password = given if given is not None else _ask()
    if not password:
        raise CommandError("an empty password is no password")
    return password


def _ask() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("The same again: "):
        raise CommandError("the two passwords differ")
    return password


def _row(mailbox: Mailbox) -> dict[str, Any]:
    return {
        "address": mailbox.address,
        "quota": mailbox.quota,
        "sizelimit": mailbox.sizelimit,
        "submission_sizelimit": mailbox.submission_sizelimit,
        "enabled": mailbox.enabled,
        "own_filter": mailbox.own_filter,
        "password": bool(mailbox.password),
        "name": mailbox.name,
    }
