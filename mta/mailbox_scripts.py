"""The one place where the scripts of a mailbox are changed: the portal, ManageSieve, commands.

What is saved compiles. Every save leaves a version, so that it can be gone back to.
"""

from django.db import transaction
from django.db.models import QuerySet

from mta.filters.sieve.compiling import compile_script
from mta.models import Mailbox, MailboxScript, ScriptVersion

Moment = MailboxScript.Moment

MAX_SCRIPT_OCTETS = 64 * 1024
MAX_SCRIPTS = 32
VERSIONS_KEPT = 100


class CannotSave(ValueError):
    """The sentence says why, for the owner."""


class TooLong(CannotSave):
    """Of one script."""


class TooMany(CannotSave):
    """Of one mailbox."""


class NameTaken(CannotSave):
    """By another script."""


class IsActive(CannotSave):
    """What judges cannot be deleted."""


def check_room(mailbox: Mailbox, name: str, octets: int, moment: Moment = Moment.MESSAGE) -> None:
    """Whether a script of that size could be saved. Raises TooLong, TooMany."""
    if octets > MAX_SCRIPT_OCTETS:
        raise TooLong(f"a script has at most {MAX_SCRIPT_OCTETS} octets")
    scripts = MailboxScript.objects.filter(mailbox=mailbox)
    is_new = not scripts.filter(moment=moment, name=name).exists()
    if is_new and scripts.count() >= MAX_SCRIPTS:
        raise TooMany(f"a mailbox has at most {MAX_SCRIPTS} scripts")


def active(mailbox: Mailbox, moment: Moment = Moment.MESSAGE) -> MailboxScript | None:
    return mailbox.scripts.filter(moment=moment, active=True).first()


@transaction.atomic
def save(
    mailbox: Mailbox,
    name: str,
    text: str,
    *,
    saved_by: str,
    note: str = "",
    moment: Moment = Moment.MESSAGE,
) -> MailboxScript:
    """A new text for a script, which is made when there is none of that name.

    Raises SieveError when it does not compile, CannotSave, ValidationError for the name.
    """
    scripts = _locked(mailbox)
    check_room(mailbox, name, len(text.encode()), moment)
    compile_script(text)
    script = scripts.filter(moment=moment, name=name).first()
    if script is None:
        script = MailboxScript(mailbox=mailbox, moment=moment, name=name)
    script.text = text
    script.full_clean(validate_constraints=False)
    script.save()
    ScriptVersion.objects.create(script=script, text=text, saved_by=saved_by, note=note)
    kept = script.versions.values("pk")[:VERSIONS_KEPT]
    script.versions.exclude(pk__in=list(kept.values_list("pk", flat=True))).delete()
    return script


@transaction.atomic
def activate(
    mailbox: Mailbox, name: str | None, moment: Moment = Moment.MESSAGE
) -> MailboxScript | None:
    """Make this script the one that judges, None for no script.

    Raises MailboxScript.DoesNotExist.
    """
    scripts = _locked(mailbox).filter(moment=moment)
    script = None if name is None else scripts.get(name=name)
    scripts.filter(active=True).update(active=False)
    if script is not None:
        script.active = True
        script.save(update_fields=["active", "changed_at"])
    return script


@transaction.atomic
def rename(script: MailboxScript, name: str) -> None:
    """Raises NameTaken when another one has that name, ValidationError."""
    others = _locked(script.mailbox).filter(moment=script.moment, name=name).exclude(pk=script.pk)
    if others.exists():
        raise NameTaken("there is a script of that name already")
    script.name = name
    script.full_clean(validate_constraints=False)
    script.save(update_fields=["name", "changed_at"])


@transaction.atomic
def delete(script: MailboxScript) -> None:
    """Raises IsActive for the active one (RFC 5804 2.10)."""
    current = _locked(script.mailbox).get(pk=script.pk)
    if current.active:
        raise IsActive("the active script cannot be deleted")
    current.delete()


def _locked(mailbox: Mailbox) -> "QuerySet[MailboxScript]":
    """The mailbox's scripts, nobody else changing them meanwhile."""
    Mailbox.objects.select_for_update().get(pk=mailbox.pk)
    return MailboxScript.objects.filter(mailbox=mailbox)
