"""sendas add|list|remove: further addresses that a mailbox's user may send as."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from mta.management.appliance_command import ApplianceCommand, add_json
from mta.management.commands.mailbox import find_mailbox
from mta.management.policy_change import policy_change
from mta.models import Mailbox, SenderGrant

_PATTERN = 'user@domain, @domain, @.domain, or "*" for any address'


class Command(ApplianceCommand):
    help = "Add, list or remove addresses that a mailbox's user may send as, besides its own."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|list|remove")
        add = verbs.add_parser("add", help="let a user send as somebody")
        list_ = verbs.add_parser("list", help="list who may send as whom")
        remove = verbs.add_parser("remove", help="let a user no longer send as somebody")
        for verb in (add, remove):
            verb.add_argument("mailbox")
            verb.add_argument("pattern", help=_PATTERN)
        list_.add_argument("mailbox", nargs="?")
        add_json(list_)

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "add":
                self.add(options["mailbox"], options["pattern"])
            case "list":
                self.list(options["mailbox"], options["json"])
            case "remove":
                self.remove(options["mailbox"], options["pattern"])

    def add(self, address: str, pattern: str) -> None:
        with policy_change():
            grant = stored_grant(find_mailbox(address), pattern)
            if grant.pk is not None:
                raise CommandError(f"{grant} is there already")
            grant.full_clean()
            grant.save()
        self.stdout.write(f"{grant.mailbox} may send as {grant.pattern}")

    def list(self, address: str | None, as_json: bool) -> None:
        grants = SenderGrant.objects.select_related("mailbox__domain")
        if address is not None:
            grants = grants.filter(mailbox=find_mailbox(address))
        rows = [{"mailbox": grant.mailbox.address, "pattern": grant.pattern} for grant in grants]
        self.show(rows, as_json)

    def remove(self, address: str, pattern: str) -> None:
        with policy_change():
            grant = stored_grant(find_mailbox(address), pattern)
            if grant.pk is None:
                raise CommandError(f"{grant.mailbox} may not send as {grant.pattern} anyway")
            grant.delete()
        self.stdout.write(f"{grant.mailbox} may no longer send as {grant.pattern}")


def stored_grant(mailbox: Mailbox, pattern: str) -> SenderGrant:
    """The grant as it is stored, or a new one. Raises ValidationError."""
    grant = SenderGrant(mailbox=mailbox, pattern=pattern)
    grant.clean()
    return SenderGrant.objects.filter(mailbox=mailbox, pattern=grant.pattern).first() or grant
