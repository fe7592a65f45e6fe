"""The Maildir format: where a mailbox lies and how its files are named.

Pure rules, used by step 6 (the local transport). The format is DJB's Maildir with the Maildir++
size field: ``<seconds>.<unique>.<host>,S=<octets>[:2,<flags>]``. The unique part is made of the
queue id and the recipient id instead of process facts, so that a delivery that is repeated after
a crash has the same name and can find its own file.
"""

import base64
import re
import unicodedata
from collections.abc import Iterable

FLAG_TRASHED = "T"
TRASH_FOLDER = ".Trash"

_SIZE = re.compile(r",S=(\d{1,18})(?:[,:]|$)")
_FORBIDDEN = re.compile(r"[/\x00]")
FOLDER_MARK = "maildirfolder"
_MAX_FOLDER = 255
_SEPARATOR = re.compile(r"[/.]")
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]+|&")

# The system flags of IMAP as letters of a file name, which has them in this order.
_FLAG_LETTERS = {
    "\\draft": "D",
    "\\flagged": "F",
    "$forwarded": "P",
    "\\answered": "R",
    "\\seen": "S",
    "\\deleted": "T",
}


def mailbox_name(local: str, domain: str) -> str:
    """Where a mailbox lies below the mail root: "domain/local", in lower case.

    Raises ValueError when a part would not be one plain directory name. Addresses are checked
    long before; this is the last guard against leaving the mail root.
    """
    parts = (domain.lower(), local.lower())
    for part in parts:
        if not part or part.startswith(".") or _FORBIDDEN.search(part):
            raise ValueError("the address does not name a mailbox")
    return "/".join(parts)


def delivery_key(created_at: float, queue_id: str, recipient_id: int) -> str:
    """The part of the file name that tells one delivery from all others, for ever."""
    return f"{int(created_at)}.Q{queue_id}R{recipient_id}"


def file_name(key: str, hostname: str, size: int) -> str:
    """The name in new/. `size` is that of the file in octets."""
    return f"{key}.{safe_hostname(hostname)},S={size}"


def safe_hostname(hostname: str) -> str:
    """The host as Maildir writes it: "/" and ":" would end the name, so they go as octal."""
    return hostname.replace("/", r"\057").replace(":", r"\072")


def key_of(name: str) -> str:
    """The `delivery_key` in a file name of new/ or cur/, whatever its host, size and flags."""
    seconds, _, rest = name.partition(".")
    return f"{seconds}.{rest.partition('.')[0]}"


def size_of(name: str) -> int | None:
    """The octets that the name promises, None when it promises nothing."""
    match = _SIZE.search(name)
    return int(match.group(1)) if match else None


def flags_of(name: str) -> str:
    """The flags after ":2,", "" when there are none."""
    return name.partition(":2,")[2]


def flag_letters(flags: Iterable[str]) -> str:
    """IMAP flags as they stand after ":2,". Keywords have no place in a plain Maildir: they are
    left out."""
    return "".join(sorted({_FLAG_LETTERS.get(flag.lower(), "") for flag in flags}))


def folder_directory(folder: str) -> str:
    """The directory of a folder within its Maildir: "Lists/dev" is ".Lists.dev", "" the inbox.

    Levels may also be divided by dots, which is how most IMAP servers over Maildir++ show them, and
    may begin with INBOX. Other than ASCII is in IMAP's modified UTF-7 (RFC 3501 5.1.3), as most
    IMAP servers expect it. Raises ValueError for a name that cannot be one.
    """
    levels = _SEPARATOR.split(unicodedata.normalize("NFC", folder))
    if levels[0].lower() == "inbox":
        levels = levels[1:]
    if not folder or not levels:
        return ""
    if not all(levels) or any(unicodedata.category(each) == "Cc" for each in folder):
        raise ValueError(f'"{folder}" cannot be the name of a folder')
    name = "".join(f".{modified_utf7(level)}" for level in levels)
    if len(name) > _MAX_FOLDER:
        raise ValueError(f'the name of the folder "{folder[:40]}..." is too long')
    return name


def modified_utf7(text: str) -> str:
    """RFC 3501 section 5.1.3."""

    def shifted(match: re.Match[str]) -> str:
        if match[0] == "&":
            return "&-"
        coded = base64.b64encode(match[0].encode("utf-16-be", "replace"), b"+,")
        return f"&{coded.rstrip(b'=').decode()}-"

    return _NOT_PLAIN.sub(shifted, text)
