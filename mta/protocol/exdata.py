"""One verdict per recipient after the end of the data: Courier's EXDATA, and PRDR.

EXDATA packs the replies into one with the code 558, of which every line is a line of a reply:

    558-250 2.0.0 queued
    558-550-5.7.1 <bob@example.org>:
    558 550 5.7.1 not from you

PRDR (draft-hall-prdr) sends "353", then a reply for each recipient, then one for the whole.
Either way there is one verdict for each recipient that was accepted, in the order of the RCPTs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from mta.protocol.reply import Reply, parse_reply

EXDATA_CODE = 558
PRDR_CODE = 353

_INNER_LINE = re.compile(r"([245][0-9]{2})(?:([ -])(.*))?\Z", re.DOTALL)
_PRDR_BEGIN = Reply(PRDR_CODE, "", "one reply for each recipient follows")
_MISSING = Reply(451, "4.5.0", "the peer gave no verdict on this recipient")


class Verdicts(StrEnum):
    """How a transaction answers the end of the data; the value is the parameter of MAIL."""

    ONE_FOR_ALL = ""
    EXDATA = "EXDATA"
    PRDR = "PRDR"


def offered_by(extensions: Mapping[str, str]) -> Verdicts:
    """The best that a peer with these EHLO keywords can do."""
    if "XEXDATA" in extensions:
        return Verdicts.EXDATA
    return Verdicts.PRDR if "PRDR" in extensions else Verdicts.ONE_FOR_ALL


def encode(replies: Sequence[Reply]) -> bytes:
    """The 558 reply for the wire. Raises ValueError without a reply to put in."""
    if not replies:
        raise ValueError("there is no recipient to give a verdict on")
    lines = b"".join(reply.encode() for reply in replies).removesuffix(b"\r\n").split(b"\r\n")
    wire = [b"558-" + line for line in lines[:-1]]
    return b"\r\n".join([*wire, b"558 " + lines[-1], b""])


def decode(reply: Reply) -> list[Reply]:
    """The verdicts in a 558 reply, as far as they can be understood.

    A line that is no reply ends them: whom a later one would be for is anybody's guess.
    """
    return list(_inner_replies(reply.text.split("\n")))


def for_recipients(reply: Reply, count: int) -> list[Reply]:
    """The verdicts of a 558 reply on `count` recipients: a missing one is a 451, not a failure."""
    verdicts = decode(reply)[:count]
    return verdicts + [_MISSING] * (count - len(verdicts))


def encode_prdr(replies: Sequence[Reply], final: Reply) -> bytes:
    """All that a server says after the final dot of a transaction with PRDR."""
    return b"".join(reply.encode() for reply in (_PRDR_BEGIN, *replies, final))


def combine_prdr(verdict: Reply, final: Reply) -> Reply:
    """What holds for a recipient: its own refusal, or else what is said of the whole.

    The last reply is also the one that names the message as the peer knows it.
    """
    return final if verdict.is_positive else verdict


def _inner_replies(lines: Sequence[str]) -> Iterator[Reply]:
    code = ""
    texts: list[str] = []
    for line in lines:
        match = _INNER_LINE.match(line)
        if match is None or code not in ("", match[1]):
            return
        code = match[1]
        texts.append(match[3] or "")
        if match[2] != "-":
            yield _verdict(int(code), texts)
            code, texts = "", []


def _verdict(code: int, texts: list[str]) -> Reply:
    """Courier puts the recipient on a line of its own before a refusal and its status."""
    reply = parse_reply(code, texts)
    if reply.status or len(texts) == 1:
        return reply
    below = parse_reply(code, texts[1:])
    return Reply(code, below.status, f"{texts[0]}\n{below.text}")
