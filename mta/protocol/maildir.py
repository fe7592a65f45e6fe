"""The Maildir format: where a mailbox lies and how its files are named.

Pure rules, used by step 6 (the local transport). The format is DJB's Maildir with the Maildir++
size field: ``<seconds>.<unique>.<host>,S=<octets>[:2,<flags>]``. The unique part is made of the
queue id and the recipient id instead of process facts, so that a delivery that is repeated after
a crash has the same name and can find its own file.
"""

import re

FLAG_TRASHED = "T"
TRASH_FOLDER = ".Trash"

_SIZE = re.compile(r",S=(\d{1,18})(?:[,:]|$)")
_FORBIDDEN = re.compile(r"[/\x00]")


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
