"""The milter protocol, versions 2 to 6, as a mail server speaks it: packets and what is in them.

A packet is four octets of length, one of the command, and data. Nothing here reads or writes: what
is sent is made by functions, what came is understood by `understand`. Whatever is no milter's
answer raises ValueError with a sentence that says what is wrong.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntFlag
from ipaddress import ip_address
from struct import Struct, error

from mta.protocol.reply import Reply, parse_reply

VERSION = 6
OLDEST_VERSION = 2
LENGTH_SIZE = 4
# A filter's library sends pieces of 64 KiB; nobody has a reason for much larger ones.
MAX_PACKET = 1024 * 1024
BODY_PIECE = 65535
# Filters' libraries hang up on a packet of more than 64 KiB; no field that matters is as long.
_LONGEST_VALUE = 60_000
_LONGEST_NAME = 1000

_LENGTH = Struct(">I")
_OPTIONS = Struct(">III")
_REPLY_LINE = re.compile(r"([45]\d\d)(?:[ -](.*))?")


class Action(IntFlag):
    """What a filter may do to a message (SMFIF_*)."""

    ADD_HEADERS = 0x01
    CHANGE_BODY = 0x02
    ADD_RECIPIENT = 0x04
    DELETE_RECIPIENT = 0x08
    CHANGE_HEADERS = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENT_WITH_PARAMETERS = 0x80
    SET_MACRO_LIST = 0x100


class Step(IntFlag):
    """What need not be sent, need not be answered, or is done in another way (SMFIP_*)."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RCPT = 0x08
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADERS = 0x40
    UNANSWERED_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    REJECTED_RCPT = 0x800
    UNANSWERED_CONNECT = 0x1000
    UNANSWERED_HELO = 0x2000
    UNANSWERED_MAIL = 0x4000
    UNANSWERED_RCPT = 0x8000
    UNANSWERED_DATA = 0x10000
    UNANSWERED_UNKNOWN = 0x20000
    UNANSWERED_END_OF_HEADERS = 0x40000
    UNANSWERED_BODY = 0x80000
    LEADING_SPACE = 0x100000


class Command(Enum):
    """What the mail server says (SMFIC_*)."""

    ABORT = b"A"
    BODY = b"B"
    CONNECT = b"C"
    MACRO = b"D"
    END_OF_BODY = b"E"
    HELO = b"H"
    HEADER = b"L"
    MAIL = b"M"
    END_OF_HEADERS = b"N"
    OPTIONS = b"O"
    QUIT = b"Q"
    RCPT = b"R"
    DATA = b"T"


@dataclass(frozen=True, slots=True)
class Terms:
    """What both sides agreed on."""

    version: int
    actions: Action
    steps: Step


# --- what the filter says -----------------------------------------------------------------------


class Verdict(Enum):
    """An answer that says all by itself (SMFIR_*)."""

    ACCEPT = b"a"
    CONTINUE = b"c"
    DISCARD = b"d"
    CONNECTION_FAILED = b"f"
    PROGRESS = b"p"
    REJECT = b"r"
    SKIP = b"s"
    TEMPFAIL = b"t"
    SHUTDOWN = b"4"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refuse in the filter's own words."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Quarantine:
    reason: str


@dataclass(frozen=True, slots=True)
class AddHeader:
    """A field behind all others."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """A field with `index` fields above it, the server's own Received being one."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """Another value for the field that is the `index`th of its name, from 1; empty removes it."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """One more piece of the body that is to stand in place of the old one."""

    piece: bytes


Change = Quarantine | AddHeader | InsertHeader | ChangeHeader | ReplaceBody
Answer = Verdict | Refusal | Change

# Asked for by a filter that was told that it cannot be done.
_NOT_OFFERED = {
    b"+": "add a recipient",
    b"2": "add a recipient",
    b"-": "delete a recipient",
    b"e": "change the sender",
    b"l": "choose the macros",
}


def size_of(prefix: bytes) -> int:
    """How many octets follow the four of a packet's length. Raises ValueError."""
    (size,) = _LENGTH.unpack(prefix)
    if not 1 <= size <= MAX_PACKET:
        raise ValueError(f"a packet of {size} octets is none of the milter protocol")
    return int(size)


def agree(packet: bytes, offered: Terms, floor: int) -> Terms:
    """What is agreed on after the filter's answer to our options.

    A filter may name more than it was offered (rspamd does); that is not agreed on, and matters
    only when it is used. Raises ValueError.
    """
    if packet[:1] != Command.OPTIONS.value:
        raise ValueError(f"options were answered by {_named(packet[:1])}")
    try:
        version, actions, steps = _OPTIONS.unpack(packet[1 : 1 + _OPTIONS.size])
    except error as short:
        raise ValueError(f"options in {len(packet) - 1} octets") from short
    if not floor <= version <= offered.version:
        raise ValueError(f"version {version} of the milter protocol: {floor} to {offered.version}")
    return Terms(version, offered.actions & Action(actions), offered.steps & Step(steps))


def understand(packet: bytes) -> Answer:
    """What one packet of the filter means. Raises ValueError."""
    kind, data = packet[:1], packet[1:]
    if kind in _NOT_OFFERED:
        raise ValueError(f"it wants to {_NOT_OFFERED[kind]}, which was not offered")
    match kind:
        case b"y":
            return Refusal(_reply(data))
        case b"q":
            return Quarantine(_strings(data, 1)[0].decode("utf-8", "replace"))
        case b"h":
            return AddHeader(*_field(data))
        case b"i":
            return InsertHeader(_number(data), *_field(data[4:]))
        case b"m":
            return ChangeHeader(_number(data), *_field(data[4:]))
        case b"b":
            return ReplaceBody(data)
    try:
        return Verdict(kind)
    except ValueError:
        raise ValueError(f"{_named(kind)} is no answer of the milter protocol") from None


def _reply(data: bytes) -> Reply:
    """Code, enhanced status and text, of several lines perhaps.

    A per cent sign comes twice, because filters know that the first server printed by a format.
    """
    text = _strings(data, 1)[0].decode("utf-8", "replace").replace("%%", "%")
    matches = [_REPLY_LINE.fullmatch(line) for line in re.split(r"\r\n|\n", text.rstrip("\r\n"))]
    found = [match for match in matches if match]
    if len(found) < len(matches) or len({match[1] for match in found}) != 1:
        raise ValueError(f"the reply {text[:80]!r} is not one of 4xx or 5xx")
    return parse_reply(int(found[0][1]), [match[2] or "" for match in found])


def _field(data: bytes) -> tuple[bytes, bytes]:
    name, value = _strings(data, 2)
    if not re.fullmatch(rb"[!-9;-~]+", name):
        raise ValueError(f"{name[:80]!r} is no name of a field")
    return name, value


def _strings(data: bytes, count: int) -> list[bytes]:
    parts = data.split(b"\0")
    if len(parts) != count + 1 or parts[-1]:
        raise ValueError(f"{count} texts with a NUL behind each were due")
    return parts[:-1]


def _number(data: bytes) -> int:
    if len(data) < LENGTH_SIZE:
        raise ValueError("a number of four octets was due")
    return int(_LENGTH.unpack(data[:LENGTH_SIZE])[0])


def _named(kind: bytes) -> str:
    return repr(kind.decode("latin-1"))


# --- what the server says -----------------------------------------------------------------------


def packet(command: Command, data: bytes = b"") -> bytes:
    return _LENGTH.pack(len(data) + 1) + command.value + data


def options(offered: Terms) -> bytes:
    return packet(
        Command.OPTIONS, _OPTIONS.pack(offered.version, int(offered.actions), int(offered.steps))
    )


def macros(command: Command, values: Mapping[str, str]) -> bytes:
    """The macros that go before a command. Names of several letters stand in braces."""
    pairs = [part for item in values.items() for part in item]
    return packet(Command.MACRO, command.value + _texts(pairs))


def connect(hostname: str, client_ip: str) -> bytes:
    """`client_ip` is "" for mail that came by no connection."""
    if not client_ip:
        return packet(Command.CONNECT, _texts([hostname]) + b"U")
    family = b"4" if ip_address(client_ip).version == 4 else b"6"
    return packet(Command.CONNECT, _texts([hostname]) + family + bytes(2) + _texts([client_ip]))


def helo(name: str) -> bytes:
    return packet(Command.HELO, _texts([name]))


def mail(reverse_path: str) -> bytes:
    return packet(Command.MAIL, _texts([f"<{reverse_path}>"]))


def rcpt(address: str) -> bytes:
    return packet(Command.RCPT, _texts([f"<{address}>"]))


def header(name: bytes, value: bytes) -> bytes:
    """`value` has LF where its lines are folded; of an enormous field the beginning is told."""
    told = value[:_LONGEST_VALUE].replace(b"\0", b"")
    return packet(Command.HEADER, name[:_LONGEST_NAME] + b"\0" + told + b"\0")


def _texts(texts: Iterable[str]) -> bytes:
    return b"".join(
        text.encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0" for text in texts
    )
