"""The script that judges a mailbox's mail, as the pages load and save it.

It is the active one, whoever has made it so; where there is none, the pages make their own. What
a page saves says which text it began with, so that a change that came by another way meanwhile
is not overwritten unseen.
"""

import hashlib
from dataclasses import dataclass

from courierweb.portal import rules
from courierweb.portal.rules import Script
from mta import mailbox_scripts
from mta.filters.sieve.syntax import SieveError
from mta.mailbox_scripts import CannotSave
from mta.models import Mailbox, MailboxScript

NAME = "rules"
SAVED_BY = "portal"


@dataclass(frozen=True, slots=True)
class Loaded:
    """`active` is off for a script that somebody has switched off; `error` says why the text
    is no list of rules."""

    name: str
    text: str
    active: bool
    script: Script
    error: str = ""

    @property
    def base(self) -> str:
        return digest(self.text)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def row(mailbox: Mailbox) -> MailboxScript | None:
    found = mailbox_scripts.active(mailbox)
    if found is None:
        found = mailbox.scripts.filter(moment=MailboxScript.Moment.MESSAGE, name=NAME).first()
    return found


def load(mailbox: Mailbox) -> Loaded:
    found = row(mailbox)
    if found is None:
        return Loaded(NAME, "", True, Script())
    try:
        script, error = rules.read(found.text), ""
    except SieveError as trouble:
        script, error = Script(), str(trouble)
    return Loaded(found.name, found.text, found.active, script, error)


def save(mailbox: Mailbox, text: str, base: str, note: str) -> None:
    """The text is in force for the next message. Raises SieveError, CannotSave."""
    Mailbox.objects.select_for_update().get(pk=mailbox.pk)
    now = load(mailbox)
    if base != now.base:
        raise CannotSave(
            "your rules were changed elsewhere since you opened this page; look at them and do "
            "it again"
        )
    mailbox_scripts.save(mailbox, now.name, text, saved_by=SAVED_BY, note=note[:200])
    mailbox_scripts.activate(mailbox, now.name)
