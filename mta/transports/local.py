# ruff: noqa: PTH102, PTH103, PTH104, PTH112, PTH116, PTH120
"""Step 6, the local transport: virtual mailboxes, one Maildir each, durable and idempotent.

A message counts as delivered when its file is in new/ and would survive a power cut. Making
files durable one by one is slow, so a group goes together: write all into tmp/, sync the file
system once, rename all into new/, sync the directories. The file name derives from queue id
and recipient id; a delivery that is repeated after a crash finds its own file. That is why
`context.committing` is not needed here: nothing is ever uncertain. (Paths are plain strings here:
path objects cost more than the system calls that they wrap.)
"""

import contextlib
import errno
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mta.protocol import address, maildir, maildirsize, status, verp
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

logger = logging.getLogger(__name__)

MAX_GROUP = 200
MAX_GROUP_OCTETS = 64 << 20
# A Delivered-To beyond this is not looked for; the ingress takes no header as long as this.
MAX_HEADER = 256 << 10
# With more changed directories than this, syncing the file system again is cheaper.
MAX_DIRECTORY_SYNCS = 4
# What the door let in for a mailbox is not too big because of the headers it has got since.
HEADERS_ADDED = 8 << 10

_DELIVERED_TO = re.compile(rb"^delivered-to:[ \t]*(?:\r?\n[ \t]+)?([^\r\n]*)", re.M | re.I)
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
        self._visited = _delivered_to(content)
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
class _Mailbox:
    """A Maildir that exists, for the time of one group. `name` is "DOMAIN/LOCALPART"."""

    name: str
    path: str
    account: maildirsize.Account
    present: set[str] | None = None


@dataclass(slots=True)
class _File:
    """One delivery on its way: it stands in tmp/ until it is published."""

    recipient: QueuedRecipient
    mailbox: _Mailbox
    temporary: str
    final: str
    size: int


@dataclass(slots=True)
class _Group:
    """Deliveries that become durable together.

    An OSError that concerns one recipient defers that one; one that concerns a whole step
    defers every recipient of the group that is not reported yet.
    """

    context: DeliveryContext
    outcomes: list[Outcome] = field(default_factory=list)
    _token: str = field(default_factory=lambda: secrets.token_hex(6))
    _mailboxes: dict[str, _Mailbox] = field(default_factory=dict)
    _devices: dict[int, int] = field(default_factory=dict)
    _changed_parents: set[str] = field(default_factory=set)
    _repeated: frozenset[str] = frozenset()
    _files: list[_File] = field(default_factory=list)

    def write(self, deliveries: list[Delivery]) -> None:
        """Writes all into tmp/, with the content of one message in memory at a time."""
        self._repeated = frozenset(_key(*each) for each in deliveries if each[1].attempt > 1)
        content: _Content | None = None
        for message, recipient in deliveries:
            try:
                mailbox = self._open_mailbox(recipient.address)
                if _key(message, recipient) in self._present(mailbox):
                    self._report_sent(recipient, f"already delivered to {mailbox.name}")
                    continue
                if content is None or content.message.id != message.id:
                    content = None
                    content = self._load(message)
                self._write_file(content, recipient, mailbox)
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
        """Moves all from tmp/ to new/."""
        self._for_each_file(lambda file: os.rename(file.temporary, file.final))

    def sync_directories(self) -> None:
        """Makes the new names durable; from here on the deliveries are facts."""
        directories = {f"{file.mailbox.path}/new" for file in self._files}
        directories |= self._changed_parents
        try:
            if len(directories) <= MAX_DIRECTORY_SYNCS or not self._sync_devices():
                for directory in directories:
                    sync_path(directory)
        except OSError as error:
            # The files are in new/ already: the next attempt will find them there.
            for file in self._files:
                self._defer(file.recipient, error)
            self._files.clear()

    def settle(self) -> None:
        """Reports what was delivered and adds it to the quota files."""
        for file in self._files:
            self._report_sent(file.recipient, f"delivered to {file.mailbox.name}")
        self._files.clear()
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

    def _open_mailbox(self, recipient: str) -> _Mailbox:
        try:
            name = maildir.mailbox_name(*address.split(recipient))
        except ValueError as error:
            raise _Refusal(Result.BOUNCED, 553, status.BAD_ADDRESS_SYNTAX, str(error)) from error
        if name not in self._mailboxes:
            path = f"{self.context.mail_root}/{name}/Maildir"
            self._prepare(path)
            account = maildirsize.Account(path, self.context.quota(recipient))
            self._mailboxes[name] = _Mailbox(name, path, account)
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

    def _make_directory(self, directory: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
            self._changed_parents.add(os.path.dirname(directory))

    def _present(self, mailbox: _Mailbox) -> set[str]:
        """The keys of repeated deliveries whose file an earlier attempt has left here.

        That attempt may have ended before its file was durable, so it is made so now. What
        such attempts have left in tmp/ is removed on the way.
        """
        if not self._repeated:
            return set()
        if mailbox.present is None:
            places = [f"{mailbox.path}/new", f"{mailbox.path}/cur"]
            present = {key for place in places for key, _ in self._repeated_in(place)}
            for place in places if present else ():
                sync_path(place)
            for _, leftover in self._repeated_in(f"{mailbox.path}/tmp"):
                remove(leftover)
            mailbox.present = present
        return mailbox.present

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

    def _write_file(self, content: _Content, recipient: QueuedRecipient, mailbox: _Mailbox) -> None:
        if content.has_been_at(recipient.address):
            raise _Refusal(
                Result.BOUNCED, 554, status.ROUTING_LOOP, "mail loop: it has been here before"
            )
        limit = self.context.sizelimit(recipient.address)
        if limit and content.message.size > limit + HEADERS_ADDED:
            raise _Refusal(
                Result.BOUNCED, 552, status.TOO_BIG, f"the mailbox takes at most {limit} octets"
            )
        lines = content.lines_for(recipient.address)
        size = len(lines[0]) + len(lines[1])
        if not mailbox.account.admits(size):
            raise _Refusal(Result.DEFERRED, 452, status.MAILBOX_FULL, "the mailbox is full")
        key = _key(content.message, recipient)
        final = f"{mailbox.path}/new/{maildir.file_name(key, self.context.hostname, size)}"
        temporary = f"{mailbox.path}/tmp/{key}.{self._token}"
        write_new(temporary, lines)
        mailbox.account.add(size)
        self._files.append(_File(recipient, mailbox, temporary, final, size))

    def _sync_devices(self) -> bool:
        """Whether the file systems could be synced as a whole. Raises OSError for lost data."""
        return all(sync_file_system(descriptor) for descriptor in self._devices.values())

    def _for_each_file(self, step: Callable[[_File], None]) -> None:
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

    def _drop(self, file: _File, error: OSError) -> None:
        remove(file.temporary)
        file.mailbox.account.take_back(file.size)
        self._defer(file.recipient, error)

    def _report_sent(self, recipient: QueuedRecipient, text: str) -> None:
        self.outcomes.append(Outcome(recipient.id, Result.SENT, Reply(250, status.SUCCESS, text)))

    def _defer(self, recipient: QueuedRecipient, error: OSError) -> None:
        self.outcomes.append(Outcome(recipient.id, Result.DEFERRED, _reply_for(error)))


class _Refusal(Exception):
    """This recipient does not get the message now, for a reason that is not an accident."""

    def __init__(self, result: Result, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.result = result
        self.reply = Reply(code, enhanced, text)


def _key(message: QueuedMessage, recipient: QueuedRecipient) -> str:
    return maildir.delivery_key(message.created_at, message.queue_id, recipient.id)


def _reply_for(error: OSError) -> Reply:
    if error.errno == errno.ENOSPC:
        return Reply(452, status.SYSTEM_FULL, "the disk is full")
    if error.errno == errno.EDQUOT:
        return Reply(452, status.MAILBOX_FULL, "the disk quota is used up")
    return Reply(451, status.LOCAL_ERROR, f"local error: {error.strerror or 'unknown'}")


def _delivered_to(content: bytes) -> frozenset[str]:
    """The addresses of all Delivered-To fields in the header, in lower case."""
    end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n", 0, MAX_HEADER)
    header = content[: end if end >= 0 else MAX_HEADER].lower()
    if b"delivered-to:" not in header:
        return frozenset()
    values = _DELIVERED_TO.findall(header)
    return frozenset(value.strip().decode("utf-8", "surrogateescape") for value in values)
