"""What one recipient of the local transport gets: files in folders that become facts together.

Without rules of the mailbox that is one file in the inbox; with them it may be several, or none.
"""

import errno
import os
from dataclasses import dataclass, field

from mta.protocol import maildir, maildirsize
from mta.protocol.mailbox_plan import INBOX, MailboxPlan
from mta.transports.base import QueuedRecipient

INBOX_PLAN = MailboxPlan()

# Trouble of the whole disk is not that of a folder.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_MAX_TEXT = 500


@dataclass(slots=True)
class Folder:
    """A Maildir, main or folder, that exists. `present` are keys of repeated deliveries in it."""

    name: str
    path: str
    present: set[str] | None = None


@dataclass(slots=True)
class Mailbox:
    """A Maildir that exists, for the time of one group. `name` is "DOMAIN/LOCALPART"; `folders` are
    those used so far, by directory."""

    name: str
    inbox: Folder
    account: maildirsize.Account
    folders: dict[str, Folder] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.inbox.path

    def has_folder(self, name: str) -> bool:
        """Whether the mailbox has that folder now (RFC 5490)."""
        try:
            directory = maildir.folder_directory(name)
        except ValueError:
            return False
        return not directory or os.path.isdir(f"{self.path}/{directory}/cur")  # noqa: PTH112, PTH118


@dataclass(slots=True)
class Parcel:
    """All that one recipient gets. It is reported once: when all its files are facts, or when the
    first of them failed."""

    recipient: QueuedRecipient
    mailbox: Mailbox
    plan: MailboxPlan
    text: str
    failed: bool = False


@dataclass(slots=True)
class File:
    """One copy on its way: it stands in tmp/ until it is published in `directory`."""

    parcel: Parcel
    directory: str
    temporary: str
    final: str
    size: int
    counted: bool

    def count(self) -> None:
        if self.counted:
            self.parcel.mailbox.account.add(self.size)

    def take_back(self) -> None:
        if self.counted:
            self.parcel.mailbox.account.take_back(self.size)


def is_counted(directory: str, letters: str) -> bool:
    """Whether a copy counts for the quota (Maildir++): not what is thrown away already."""
    return directory != maildir.TRASH_FOLDER and maildir.FLAG_TRASHED not in letters


def is_of_the_folder(error: OSError) -> bool:
    """Whether the folder cannot be made, whatever room there is."""
    return error.errno not in _NO_ROOM


def told(mailbox: str, plan: MailboxPlan) -> str:
    """What was done, for the timeline."""
    if plan is INBOX_PLAN:
        return f"delivered to {mailbox}"
    folders = [copy.folder for copy in plan.copies]
    words = [f"delivered to {mailbox}"] if INBOX in folders else []
    words += [f"delivered to {mailbox} folder {each}" for each in folders if each != INBOX]
    if plan.forwards:
        words.append(f"forwarded to {', '.join(plan.forwards)}")
    if not words:
        words = [f"discarded by rule {plan.discarded_by}"]
    return ", ".join(words)[:_MAX_TEXT]
