"""What the hosts of a sender's domain say of the sender when asked (spec 6.2, verifyfilter)."""

from dataclasses import dataclass
from enum import StrEnum

from mta.protocol.reply import Reply


class Standing(StrEnum):
    """OURS: mail for the address does not leave by ESMTP, so there is nobody to ask."""

    GOOD = "good"
    REFUSED = "refused"
    LATER = "later"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class SenderWord:
    """`reply` is the host's, or says why there is none; `host` is who gave it, "" for nobody."""

    standing: Standing
    reply: Reply
    host: str = ""
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class SenderQuestion:
    """`key` is what the answer is remembered by. All of it takes at most `seconds`; the others are
    how long each answer may be used again, in seconds."""

    sender: str
    key: str
    seconds: float
    keep_good: float
    keep_refused: float
    keep_later: float


def cache_key(sender: str, *, whole: bool) -> str:
    """The address, or without the extension behind the first hyphen, which one mailbox may have
    many of (Courier's "full" and "base")."""
    local, at, domain = sender.rpartition("@")
    base = local if whole else local.split("-", 1)[0] or local
    return f"{base}{at}{domain.lower()}"
