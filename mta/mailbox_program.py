"""The programs by which owners of mailboxes judge mail within the session (spec 6.3).

Whom an administrator has allowed it may have `.mailfilters/rcptfilter`, run at RCPT, and
`.mailfilters/smtpfilter`, run on the content. They run as their owner, within limits, and few at
once. A user of the system has them in the home. A virtual mailbox has them beside its Maildir and
they run as the setting `aliasuser`, who can read nothing there: in a home of their own, made for
the run.
"""

import contextlib
import logging
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from mta import maillog
from mta.models import Mailbox, Settings
from mta.policy.answers import OwnersWord
from mta.policy.question import TROUBLE, Answer
from mta.protocol import address as addresses
from mta.protocol import maildir
from mta.protocol.address import wire
from mta.protocol.local_account import (
    BadLocalPart,
    candidates,
    extension_variables,
    filter_scripts,
)
from mta.transports import delivery_command
from mta.transports.delivery_command import SHELL, Account, NotPermittedError

log = logging.getLogger(__name__)

AT_ONCE = 4
# Seconds: until one of them has ended, at RCPT, and over a content.
TURN_WITHIN = 1.0
RCPT_SECONDS = 8.0
CONTENT_SECONDS = 50.0
# Of one program: octets of memory, and processes of its user.
MAX_DATA = 512 << 20
MAX_PROCESSES = 256
MAX_SCRIPTS = 100
MAX_SCRIPT_OCTETS = 256 << 10

FOLDER = ".mailfilters"
RCPT_SCRIPT, CONTENT_SCRIPT = "rcptfilter", "smtpfilter"
_TAKE, _JUDGE, _TEMPORARY = 0, 99, 75
# The shell could not start it.
_NOT_STARTED = (126, 127)
_SILENT = "571 5.7.1 refused by the recipient's filter"
_LIMITED = (
    'ulimit -c 0; ulimit -t "$1"; ulimit -d "$2"; ulimit -p "$3" 2>/dev/null || ulimit -u "$3"; '
    'shift 3; exec "$@"'
)

_turns = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an owner's programs are, and as whom they run. `copied` ones run in a home made for
    it."""

    address: str
    owner: Account
    folder: Path
    extension: str
    program: str
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    """What a program is told of the mail."""

    recipient: str
    reverse_path: str
    client_ip: str
    helo: str


def is_allowed(account: str, allowed: str) -> bool:
    """Whether the setting `accountfilters` names this user of the system."""
    names = allowed.split()
    return "*" in names or account in names


def place_of_mailbox(mailbox: Mailbox, recipient: str) -> Place | None:
    """None when it may have no programs, or there is nobody to run them as."""
    if not mailbox.own_filter:
        return None
    row = Settings.load()
    owner = delivery_command.account(row.aliasuser)
    if owner is None:
        log.error("the user %s, as whom filters are run, is not there", row.aliasuser)
        return None
    home = Path(settings.ENVIRONMENT.mail_root, maildir.mailbox_name(*_split(mailbox.address)))
    local = _split(recipient)[0].lower()
    begins = len(mailbox.local_part) + 1
    extended = local.startswith(mailbox.local_part) and len(local) > begins
    extension = local[begins:] if extended else ""
    return Place(mailbox.address, owner, home / FOLDER, extension, row.maildropfilter, copied=True)


def place_of_account(address: str) -> Place | None:
    """The same for a user of the system, and one of the user's addresses."""
    row = Settings.load()
    try:
        for candidate in candidates(_split(address)[0]):
            owner = delivery_command.account(candidate.account)
            if owner is not None:
                if not is_allowed(owner.name, row.accountfilters):
                    return None
                folder = Path(owner.home, FOLDER)
                return Place(address, owner, folder, candidate.extension, row.maildropfilter)
    except BadLocalPart:
        pass
    return None


def judge_sender(place: Place, mail: Mail) -> Answer | None:
    """The word of `rcptfilter`; None when there is none."""
    ended = _run(place, RCPT_SCRIPT, mail, b"", RCPT_SECONDS)
    if isinstance(ended, delivery_command.Ended) and ended.code == _JUDGE:
        return Answer(OwnersWord.JUDGE, f"{_named(place, RCPT_SCRIPT)} leaves it to the content")
    return _word(place, RCPT_SCRIPT, ended, OwnersWord.TAKE, "511")


def judge_content(place: Place, mail: Mail, content: bytes) -> Answer | None:
    """The word of `smtpfilter` on the content; None when there is none."""
    unix = content.replace(b"\r\n", b"\n")
    ended = _run(place, CONTENT_SCRIPT, mail, unix, CONTENT_SECONDS)
    return _word(place, CONTENT_SCRIPT, ended, OwnersWord.NOTHING, "550")


def _word(
    place: Place,
    kind: str,
    ended: delivery_command.Ended | str | None,
    taken: OwnersWord,
    code: str,
) -> Answer | None:
    """`ended` is why it was not run, None when there is nothing to run. What hangs or crashes
    refuses nobody for good. `code` is for who refuses without one."""
    if ended is None:
        return None
    name = _named(place, kind)
    if isinstance(ended, str):
        maillog.mailbox_filter_failed(name=name, problem=ended)
        return Answer(TROUBLE, f"{name}: {ended}")
    if ended.code == _TAKE:
        return Answer(taken, f"{name} takes it")
    if ended.code is None:
        problem = "its time was over"
    elif ended.code < 0:
        problem = f"it was ended by signal {-ended.code}"
    elif ended.code == _TEMPORARY or ended.code in _NOT_STARTED:
        problem = f"it failed with exit status {ended.code}"
    else:
        text = ended.output.decode("utf-8", "replace").strip()
        return Answer(OwnersWord.REFUSE, name, (_with_code(text, code),))
    maillog.mailbox_filter_failed(name=name, problem=problem)
    return Answer(TROUBLE, f"{name}: {problem}")


def _with_code(text: str, code: str) -> str:
    if not text:
        return _SILENT
    return text if text[0] in "45" and text[:3].isdecimal() else f"{code} {text}"


def _run(
    place: Place, kind: str, mail: Mail, stdin: bytes, patience: float
) -> delivery_command.Ended | str | None:
    """How the owner's program of this kind ended; why it was not run; None when there is none."""
    try:
        script = _found(place, kind)
        if script is None:
            return None
        if not _turns.acquire(timeout=TURN_WITHIN):
            return "too many are running"
        try:
            with _home(place) as owner:
                return _ended(place, owner, script, mail, stdin, patience)
        finally:
            _turns.release()
    except NotPermittedError as error:
        return str(error)
    except OSError as error:
        return f"it cannot be run: {error.strerror}"


def _found(place: Place, kind: str) -> str | None:
    """The name of the first script there is for the extension. Raises OSError."""
    try:
        names = list(filter_scripts(kind, place.extension))
    except BadLocalPart:
        return None
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            (place.folder / name).stat()
            return name
    return None


def _ended(
    place: Place, owner: Account, script: str, mail: Mail, stdin: bytes, patience: float
) -> delivery_command.Ended:
    own = f"{owner.home}/{FOLDER}/{script}"
    # maildrop looks for -M in the home that the system knows, which is not that of a mailbox.
    how = ["-m", own] if place.copied else ["-M", script]
    command = [place.program, *how] if place.program else [own]
    limits = [str(int(patience) + 1), str(MAX_DATA >> 10), str(MAX_PROCESSES)]
    told = [mail.helo, mail.client_ip, wire(mail.reverse_path), "", ""]
    with tempfile.TemporaryFile() as message:
        message.write(stdin)
        message.seek(0)
        return delivery_command.run_program(
            [SHELL, "-c", _LIMITED, SHELL, *limits, *command, *map(_plain, told)],
            owner,
            _variables(place, mail),
            message,
            patience,
        )


def _variables(place: Place, mail: Mail) -> Mapping[str, str]:
    """The environment; who it runs as is not in it."""
    local, host = _split(place.address)
    variables = {
        "SENDER": wire(mail.reverse_path),
        "RECIPIENT": mail.recipient,
        "LOCAL": local,
        "HOST": host,
        "DEFAULT": "./Maildir",
        "BOUNCE": "",
        "BOUNCE2": "",
        "TCPREMOTEIP": mail.client_ip,
        "TCPREMOTEHOST": mail.helo,
        **extension_variables(place.extension, ""),
    }
    return {name: _plain(value) for name, value in variables.items()}


@contextlib.contextmanager
def _home(place: Place) -> Iterator[Account]:
    """The owner in a home that he can enter. Raises OSError."""
    if not place.copied:
        yield place.owner
        return
    home = Path(tempfile.mkdtemp(prefix="filter-"))
    try:
        folder = home / FOLDER
        folder.mkdir(mode=0o700)
        for source in sorted(place.folder.iterdir())[:MAX_SCRIPTS]:
            _copy(source, folder / source.name, place.owner)
        for made in (folder, home):
            _give(made, place.owner)
        yield Account(place.owner.name, place.owner.uid, place.owner.gid, str(home))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _copy(source: Path, target: Path, owner: Account) -> None:
    """Plain files only: whatever else lies there is not what a filter is made of."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return
        target.write_bytes(file.read(MAX_SCRIPT_OCTETS))
    target.chmod(stat.S_IMODE(mode) & 0o700)
    _give(target, owner)


def _give(path: Path, owner: Account) -> None:
    if os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _named(place: Place, kind: str) -> str:
    return f"{kind} of {place.address}"


def _split(address: str) -> tuple[str, str]:
    return addresses.split(address)
