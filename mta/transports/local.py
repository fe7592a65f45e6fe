# ruff: noqa: PTH102, PTH103, PTH104, PTH112, PTH116, PTH120
"""Step 6, the local transport: virtual mailboxes, one Maildir each, durable and idempotent.

A message counts as delivered when its file is in new/ and would survive a power cut. Making
files durable one by one is slow, so a group goes together: write all into tmp/, sync the file
system once, rename all into new/, sync the directories. The file name derives from queue id
and recipient id; a delivery that is repeated after a crash finds its own file. That is why
`context.committing` is not needed here: nothing is ever uncertain. (Paths are plain strings here:
path objects cost more than the system calls that they wrap.)

A mailbox with rules is told by them what to do (`mta.protocol.mailbox_plan`): each copy is a file
by that same name in its folder, so a repeated delivery finds each of its files. Flags are part of a
file name, which is why a copy with flags goes to cur/ (new/ has none).
"""

import contextlib
import errno
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from mta.protocol import address, maildir, maildirsize, status, verp
from mta.protocol.delivered_to import delivered_to
from mta.protocol.mailbox_plan import INBOX, Copy, Incoming, MailboxPlan, MailboxRules
from mta.protocol.reply import Reply
from mta.transports.base import (
    AddressBook,
    DeliveryContext,
    DeliveryRequest,
    Done,
    Outcome,
    Pool,
    QueuedMessage,
    QueuedRecipient,
    Result,
)
from mta.transports.local_disk import remove, sync_file_system, sync_path, write_new
from mta.transports.local_parcel import (
    INBOX_PLAN,
    File,
    Folder,
    Mailbox,
    Parcel,
    is_counted,
    is_of_the_folder,
    told,
)

logger = logging.getLogger(__name__)

MAX_GROUP = 200
MAX_GROUP_OCTETS = 64 << 20
# With more changed directories than this, syncing the file system again is cheaper.
MAX_DIRECTORY_SYNCS = 4
# What the door let in for a mailbox is not too big because of the headers it has got since.
HEADERS_ADDED = 8 << 10

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Delivery = tuple[QueuedMessage, QueuedRecipient]


class Local:
    name = "local"
    priority = 10
    limit = 0
    batch = 200
    pool = Pool.LOCAL
    done = Done.DELIVERED

    def claim(self, address: str, book: AddressBook) -> str | None:
        return "" if book.is_mailbox(address) else None

    def deliver(self, request: DeliveryRequest, context: DeliveryContext) -> Iterator[Outcome]:
        for deliveries in _groups(request.messages):
            if context.stopping():
                return
            group = _Group(context)
            try:
                group.write(deliveries)
                group.sync_files()
                group.publish()
                group.sync_directories()
                group.settle()
            finally:
                group.close()
            yield from group.outcomes


def _groups(messages: Iterable[QueuedMessage]) -> Iterator[list[Delivery]]:
    """The request cut into groups of a bounded number of files and octets."""
    group: list[Delivery] = []
    octets = 0
    for message in messages:
        for recipient in message.recipients:
            if group and (len(group) >= MAX_GROUP or octets + message.size > MAX_GROUP_OCTETS):
                yield group
                group, octets = [], 0
            group.append((message, recipient))
            octets += message.size
    if group:
        yield group


class _Content:
    """One message as it goes to disk: LF line ends, its header looked through once."""

    def __init__(self, message: QueuedMessage, content: bytes) -> None:
        self.message = message
        self.octets = content
        self._visited = delivered_to(content)
        self._body = content.replace(b"\r\n", b"\n")

    def has_been_at(self, recipient: str) -> bool:
        return bool(self._visited) and address.wire(recipient).lower() in self._visited

    def lines_for(self, recipient: str) -> tuple[bytes, bytes]:
        """The file's text in two parts, so that the large one is never copied."""
        reverse_path = self.message.reverse_path
        if self.message.verp:
            reverse_path = verp.encode(reverse_path, recipient)
        return_path = _CONTROL.sub(" ", address.wire(reverse_path))
        trace = f"Return-Path: <{return_path}>\nDelivered-To: {address.wire(recipient)}\n"
        return trace.encode("utf-8", "surrogateescape"), self._body


@dataclass(slots=True)
class _Group:
    """Deliveries that become durable together.

    An OSError that concerns one recipient defers that one; one that concerns a whole step
    defers every recipient of the group that is not reported yet.
    """

    context: DeliveryContext
    outcomes: list[Outcome] = field(default_factory=list)
    _token: str = field(default_factory=lambda: secrets.token_hex(6))
    _mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    _devices: dict[int, int] = field(default_factory=dict)
    _changed_parents: set[str] = field(default_factory=set)
    _repeated: frozenset[str] = frozenset()
    _parcels: list[Parcel] = field(default_factory=list)
    _files: list[File] = field(default_factory=list)

    def write(self, deliveries: list[Delivery]) -> None:
        """Writes all into tmp/, with the content of one message in memory at a time."""
        self._repeated = frozenset(_key(*each) for each in deliveries if each[1].attempt > 1)
        content: _Content | None = None
        for message, recipient in deliveries:
            try:
                mailbox = self._open_mailbox(recipient.address)
                rules = self.context.rules(recipient.address)
                if rules is None and _key(message, recipient) in self._present(mailbox.inbox):
                    self._report_sent(recipient, f"already delivered to {mailbox.name}")
                    continue
                if content is None or content.message.id != message.id:
                    content = None
                    content = self._load(message)
                self._check(content, recipient)
                self._write(content, recipient, mailbox, rules)
            except _Refusal as refusal:
                self.outcomes.append(Outcome(recipient.id, refusal.result, refusal.reply))
            except OSError as error:
                self._defer(recipient, error)

    def sync_files(self) -> None:
        """Makes what stands in tmp/ durable."""
        try:
            if not self._sync_devices():
                self._for_each_file(lambda file: sync_path(file.temporary))
        except OSError as error:
            self._drop_all(error)

    def publish(self) -> None:
        """Moves all from tmp/ to where they belong."""
        self._for_each_file(lambda file: os.rename(file.temporary, file.final))

    def sync_directories(self) -> None:
        """Makes the new names durable; from here on the deliveries are facts."""
        directories = {file.directory for file in self._files}
        directories |= self._changed_parents
        try:
            if len(directories) <= MAX_DIRECTORY_SYNCS or not self._sync_devices():
                for directory in directories:
                    sync_path(directory)
        except OSError as error:
            # The files are in new/ already: the next attempt will find them there.
            for parcel in self._parcels:
                self._fail(parcel, error)

    def settle(self) -> None:
        """Reports what was delivered and adds it to the quota files."""
        self._files.clear()
        for parcel in self._parcels:
            if not parcel.failed:
                plan = parcel.plan
                self._report_sent(parcel.recipient, parcel.text, plan)
        for mailbox in self._mailboxes.values():
            try:
                mailbox.account.settle()
            except OSError as error:
                logger.warning("%s: the quota file is not up to date: %s", mailbox.name, error)

    def close(self) -> None:
        """Leaves nothing in tmp/ and nothing open, however the group ended."""
        for file in self._files:
            remove(file.temporary)
        for descriptor in self._devices.values():
            os.close(descriptor)

    def _open_mailbox(self, recipient: str) -> Mailbox:
        try:
            name = maildir.mailbox_name(*address.split(recipient))
        except ValueError as error:
            raise _Refusal(Result.BOUNCED, 553, status.BAD_ADDRESS_SYNTAX, str(error)) from error
        if name not in self._mailboxes:
            path = f"{self.context.mail_root}/{name}/Maildir"
            self._prepare(path)
            account = maildirsize.Account(path, self.context.quota(recipient))
            self._mailboxes[name] = Mailbox(name, Folder(INBOX, path), account)
        return self._mailboxes[name]

    def _prepare(self, path: str) -> None:
        """Makes the Maildir on first use. tmp/ comes last: where it stands, the rest does."""
        temporary = f"{path}/tmp"
        if not os.path.isdir(temporary):
            os.makedirs(self.context.mail_root, 0o700, exist_ok=True)
            home = os.path.dirname(path)
            for directory in (os.path.dirname(home), home, path, f"{path}/cur", f"{path}/new"):
                self._make_directory(directory)
            self._make_directory(temporary)
        # Opened before anything is written: syncfs reports write errors since the opening.
        device = os.stat(temporary).st_dev
        if device not in self._devices:
            self._devices[device] = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _open_folder(self, mailbox: Mailbox, name: str) -> Folder:
        """The folder of a mailbox, made when it is missing. Raises OSError, ValueError."""
        directory = maildir.folder_directory(name)
        if not directory:
            return mailbox.inbox
        if directory not in mailbox.folders:
            path = f"{mailbox.path}/{directory}"
            if not os.path.isdir(f"{path}/tmp"):
                for each in (path, f"{path}/cur", f"{path}/new"):
                    self._make_directory(each)
                with contextlib.suppress(FileExistsError):
                    write_new(f"{path}/{maildir.FOLDER_MARK}", (b"", b""))
                self._make_directory(f"{path}/tmp")
            mailbox.folders[directory] = Folder(directory, path)
        return mailbox.folders[directory]

    def _make_directory(self, directory: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
            self._changed_parents.add(os.path.dirname(directory))

    def _present(self, folder: Folder) -> set[str]:
        """The keys of repeated deliveries whose file an earlier attempt has left here.

        That attempt may have ended before its file was durable, so it is made so now. What
        such attempts have left in tmp/ is removed on the way.
        """
        if not self._repeated:
            return set()
        if folder.present is None:
            places = [f"{folder.path}/new", f"{folder.path}/cur"]
            present = {key for place in places for key, _ in self._repeated_in(place)}
            for place in places if present else ():
                sync_path(place)
            for _, leftover in self._repeated_in(f"{folder.path}/tmp"):
                remove(leftover)
            folder.present = present
        return folder.present

    def _repeated_in(self, directory: str) -> list[tuple[str, str]]:
        """(key, path) of the files of repeated deliveries in a directory."""
        with os.scandir(directory) as entries:
            keyed = ((maildir.key_of(entry.name), entry.path) for entry in entries)
            return [each for each in keyed if each[0] in self._repeated]

    def _load(self, message: QueuedMessage) -> _Content:
        try:
            return _Content(message, self.context.content(message.id))
        except LookupError as error:
            logger.error("%s: the content cannot be read: %s", message.queue_id, error)
            raise OSError(errno.EIO, "the content cannot be read") from error

    def _check(self, content: _Content, recipient: QueuedRecipient) -> None:
        """Raises _Refusal for what this mailbox cannot have, whatever its rules."""
        if content.has_been_at(recipient.address):
            raise _Refusal(
                Result.BOUNCED, 554, status.ROUTING_LOOP, "mail loop: it has been here before"
            )
        limit = self.context.sizelimit(recipient.address)
        if limit and content.message.size > limit + HEADERS_ADDED:
            raise _Refusal(
                Result.BOUNCED, 552, status.TOO_BIG, f"the mailbox takes at most {limit} octets"
            )

    def _write(
        self,
        content: _Content,
        recipient: QueuedRecipient,
        mailbox: Mailbox,
        rules: MailboxRules | None,
    ) -> None:
        """All copies of one recipient, or none: what is in tmp/ of a parcel that failed goes."""
        if rules is None:
            plan, places = INBOX_PLAN, [(mailbox.inbox, "")]
        else:
            plan = rules.plan(_incoming(content, recipient, mailbox))
            if plan.refusal:
                raise _Refusal(Result.BOUNCED, 550, status.NOT_PERMITTED, plan.refusal)
            plan, places = self._places(plan, mailbox)
            if plan.content is not None:
                content = _Content(content.message, plan.content)
        parcel = Parcel(recipient, mailbox, plan, told(mailbox.name, plan))
        written = len(self._files)
        try:
            for folder, letters in places:
                self._write_file(content, parcel, folder, letters)
        except (OSError, _Refusal):
            for file in self._files[written:]:
                remove(file.temporary)
                file.take_back()
            del self._files[written:]
            raise
        self._parcels.append(parcel)

    def _places(
        self, plan: MailboxPlan, mailbox: Mailbox
    ) -> tuple[MailboxPlan, list[tuple[Folder, str]]]:
        """The folders of a plan with the flags' letters. What was to go into a folder that cannot
        be made goes into the inbox, and the owner is told."""
        copies: dict[str, Copy] = {}
        places: dict[str, tuple[Folder, str]] = {}
        troubles: list[tuple[str, str]] = []
        for wanted in plan.copies:
            copy = wanted
            try:
                folder = self._open_folder(mailbox, copy.folder)
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and not is_of_the_folder(error):
                    raise
                copy, folder = Copy(INBOX, copy.flags), mailbox.inbox
                troubles.append((f"folder {wanted.folder}", _sentence(wanted.folder, error)))
            _, letters = places.get(folder.name, (folder, ""))
            copies.setdefault(folder.name, copy)
            places[folder.name] = (
                folder,
                "".join(sorted({*letters, *maildir.flag_letters(copy.flags)})),
            )
        follow_up = plan.follow_up
        if troubles and follow_up is not None:
            follow_up = replace(follow_up, troubles=(*follow_up.troubles, *troubles))
        plan = replace(plan, copies=tuple(copies.values()), follow_up=follow_up)
        return plan, list(places.values())

    def _write_file(self, content: _Content, parcel: Parcel, folder: Folder, letters: str) -> None:
        key = _key(content.message, parcel.recipient)
        if parcel.plan is not INBOX_PLAN and key in self._present(folder):
            return
        lines = content.lines_for(parcel.recipient.address)
        size = len(lines[0]) + len(lines[1])
        counted = is_counted(folder.name, letters)
        if counted and not parcel.mailbox.account.admits(size):
            raise _Refusal(Result.DEFERRED, 452, status.MAILBOX_FULL, "the mailbox is full")
        name = maildir.file_name(key, self.context.hostname, size)
        directory = f"{folder.path}/cur" if letters else f"{folder.path}/new"
        final = f"{directory}/{name}:2,{letters}" if letters else f"{directory}/{name}"
        temporary = f"{folder.path}/tmp/{key}.{self._token}"
        write_new(temporary, lines)
        file = File(parcel, directory, temporary, final, size, counted)
        file.count()
        self._files.append(file)

    def _sync_devices(self) -> bool:
        """Whether the file systems could be synced as a whole. Raises OSError for lost data."""
        return all(sync_file_system(descriptor) for descriptor in self._devices.values())

    def _for_each_file(self, step: Callable[[File], None]) -> None:
        files, self._files = self._files, []
        for file in files:
            try:
                step(file)
            except OSError as error:
                self._drop(file, error)
            else:
                self._files.append(file)

    def _drop_all(self, error: OSError) -> None:
        files, self._files = self._files, []
        for file in files:
            self._drop(file, error)

    def _drop(self, file: File, error: OSError) -> None:
        remove(file.temporary)
        file.take_back()
        self._fail(file.parcel, error)

    def _fail(self, parcel: Parcel, error: OSError) -> None:
        if not parcel.failed:
            parcel.failed = True
            self._defer(parcel.recipient, error)

    def _report_sent(
        self, recipient: QueuedRecipient, text: str, plan: MailboxPlan = INBOX_PLAN
    ) -> None:
        reply = Reply(250, status.SUCCESS, text)
        if plan is INBOX_PLAN:
            self.outcomes.append(Outcome(recipient.id, Result.SENT, reply))
            return
        self.outcomes.append(
            Outcome(
                recipient.id,
                Result.SENT,
                reply,
                forwards=plan.forwards,
                content=plan.content,
                follow_up=plan.follow_up,
            )
        )

    def _defer(self, recipient: QueuedRecipient, error: OSError) -> None:
        self.outcomes.append(Outcome(recipient.id, Result.DEFERRED, _reply_for(error)))


class _Refusal(Exception):
    """This recipient does not get the message now, for a reason that is not an accident."""

    def __init__(self, result: Result, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.result = result
        self.reply = Reply(code, enhanced, text)


def _incoming(content: _Content, recipient: QueuedRecipient, mailbox: Mailbox) -> Incoming:
    message = content.message
    return Incoming(
        message_id=message.id,
        recipient_id=recipient.id,
        recipient=recipient.address,
        original_recipient=recipient.original_recipient,
        reverse_path=message.reverse_path,
        content=content.octets,
        created_at=message.created_at,
        has_folder=mailbox.has_folder,
    )


def _sentence(folder: str, error: OSError | ValueError) -> str:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f'the folder "{folder}" cannot be made: {why}'


def _key(message: QueuedMessage, recipient: QueuedRecipient) -> str:
    return maildir.delivery_key(message.created_at, message.queue_id, recipient.id)


def _reply_for(error: OSError) -> Reply:
    if error.errno == errno.ENOSPC:
        return Reply(452, status.SYSTEM_FULL, "the disk is full")
    if error.errno == errno.EDQUOT:
        return Reply(452, status.MAILBOX_FULL, "the disk quota is used up")
    return Reply(451, status.LOCAL_ERROR, f"local error: {error.strerror or 'unknown'}")
