"""The commands that read and change scripts, on behalf of one user. They wait for the database, so
they run in a thread.

Scripts are those that judge messages; everything goes through `mta.mailbox_scripts`.
"""

from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from mta import mailbox_scripts
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from mta.models import Mailbox, MailboxScript
from mta.protocol import address
from mta.protocol.managesieve import Reply, Word, string

Moment = MailboxScript.Moment

SAVED_BY = "ManageSieve"
OK = Reply(Word.OK)
_NO_SUCH_SCRIPT = Reply(Word.NO, "there is no script of that name", "NONEXISTENT")
# RFC 5804 1.3, for what a mailbox refuses to save.
_CODES = {
    mailbox_scripts.TooLong: "QUOTA/MAXSIZE",
    mailbox_scripts.TooMany: "QUOTA/MAXSCRIPTS",
    mailbox_scripts.NameTaken: "ALREADYEXISTS",
    mailbox_scripts.IsActive: "ACTIVE",
}


class NoMailbox(Exception):
    """The user was removed or disabled meanwhile."""


def act(user: str, action: Callable[..., Reply], *arguments: object) -> Reply:
    """Carry out one of the functions below for a user; what it may not do becomes a reply.

    Raises NoMailbox, DatabaseError.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            # The name in the record of policy changes (migration 0002).
            cursor.execute("SELECT set_config('courierweb.actor', %s, true)", [user])
        mailbox = _mailbox(user)
        try:
            with transaction.atomic():
                return action(mailbox, *arguments)
        except SieveError as error:
            return Reply(Word.NO, str(error))
        except ValidationError as error:
            return Reply(Word.NO, " ".join(error.messages))
        except MailboxScript.DoesNotExist:
            return _NO_SUCH_SCRIPT
        except mailbox_scripts.CannotSave as error:
            return Reply(Word.NO, str(error), _CODES.get(type(error), ""))


def have_space(mailbox: Mailbox, name: str, octets: int) -> Reply:
    mailbox_scripts.check_room(mailbox, name, octets)
    return OK


def put(mailbox: Mailbox, name: str, text: str) -> Reply:
    mailbox_scripts.save(mailbox, name, text, saved_by=SAVED_BY)
    return OK


def check(mailbox: Mailbox, text: str) -> Reply:
    compile_script(text)
    return OK


def listing(mailbox: Mailbox) -> Reply:
    rows = mailbox.scripts.filter(moment=Moment.MESSAGE).values_list("name", "active")
    lines = [string(name) + (b" ACTIVE" if active else b"") + b"\r\n" for name, active in rows]
    return Reply(Word.OK, data=b"".join(lines))


def set_active(mailbox: Mailbox, name: str) -> Reply:
    """No name stands for no script (RFC 5804 2.8)."""
    mailbox_scripts.activate(mailbox, name or None)
    return OK


def get(mailbox: Mailbox, name: str) -> Reply:
    octets = _script(mailbox, name).text.encode()
    return Reply(Word.OK, data=b"{%d}\r\n%s\r\n" % (len(octets), octets))


def delete(mailbox: Mailbox, name: str) -> Reply:
    mailbox_scripts.delete(_script(mailbox, name))
    return OK


def rename(mailbox: Mailbox, name: str, wanted: str) -> Reply:
    mailbox_scripts.rename(_script(mailbox, name), wanted)
    return OK


def _script(mailbox: Mailbox, name: str) -> MailboxScript:
    return mailbox.scripts.get(moment=Moment.MESSAGE, name=name)


def _mailbox(user: str) -> Mailbox:
    local, domain = address.split(user)
    mailbox = Mailbox.objects.filter(domain__name=domain, local_part=local, enabled=True).first()
    if mailbox is None:
        raise NoMailbox
    return mailbox
