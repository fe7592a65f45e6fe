"""Reads tests/data/relay_tricks.txt, and plays its dialogs. The file says what its lines mean."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.support.smtp_session import Client, Hangup

FILE = Path(__file__).parents[1] / "data" / "relay_tricks.txt"
VICTIM = "victim@elsewhere.example"
_MESSAGE = b"Subject: a trick\r\n\r\nx\r\n.\r\n"
_OCTET = re.compile(rb"\\x([0-9a-f]{2})")

Connect = Callable[[str], Client]


class Kind(StrEnum):
    TO = "TO"
    OURS = "OURS"
    FROM = "FROM"
    TRICK = "TRICK"


@dataclass(frozen=True)
class Trick:
    """`text` is the argument of RCPT or MAIL, or the title of a dialog with these `lines`."""

    kind: Kind
    text: str
    line: int
    lines: tuple[tuple[str, str], ...] = field(default=())

    def __str__(self) -> str:
        return f"line {self.line}: {self.kind} {self.text}"


def read() -> list[Trick]:
    """Every trick of the file. Raises ValueError for a line that cannot be understood."""
    tricks: list[Trick] = []
    dialog: list[tuple[str, str]] | None = None
    for number, line in enumerate(FILE.read_text().splitlines(), 1):
        word, _, text = line.partition(" ")
        if not word:
            dialog = None
        elif dialog is not None:
            dialog.append((word, text))
            tricks[-1] = Trick(Kind.TRICK, tricks[-1].text, tricks[-1].line, tuple(dialog))
        elif word not in ("#", "=="):
            tricks.append(Trick(Kind(word), text, number))
            dialog = [] if word == Kind.TRICK else None
    return tricks


def octets(text: str) -> bytes:
    r"""The text as it is sent; \xNN is one octet."""
    return _OCTET.sub(lambda match: bytes([int(match[1], 16)]), text.encode())


def try_address(client: Client, trick: Trick, sender: str) -> str:
    """One transaction in one packet, up to a message where one is taken; the reply to RCPT."""
    mail = f"MAIL FROM:{trick.text if trick.kind is Kind.FROM else sender}"
    to = f"RCPT TO:{f'<{VICTIM}>' if trick.kind is Kind.FROM else trick.text}"
    client.send(b"".join(octets(line) + b"\r\n" for line in ("RSET", mail, to, "DATA")))
    _, _, reply, go_ahead = (client.reply() for _ in range(4))
    if go_ahead.startswith("354"):
        client.send(_MESSAGE)
        client.reply()
    return reply


def play(connect: Connect, trick: Trick) -> str:
    """A dialog, and then a message if one is taken. The first reply that is not what the file
    says, with the number of its line; "" when there is none."""
    client: Client | None = None
    packet = b""
    wrong = ""
    for number, (word, text) in enumerate(trick.lines, trick.line + 1):
        if word == "OPEN":
            client = _opened(connect, text)
            continue
        client = client or _opened(connect, "smtp")
        if word == "C:":
            packet += octets(text) + b"\r\n"
            continue
        client.send(packet)
        packet = b""
        if word == "TLS":
            client.wrap()
        elif word == "BYE":
            wrong = wrong or ("" if client.at_end() else f"line {number}: still open")
        else:
            reply = client.reply()
            wrong = wrong or ("" if _is(text, reply) else f"line {number}: {reply}")
    assert client is not None and not packet, f"{trick} ends with something said"
    _try_data(client)
    return wrong


def _opened(connect: Connect, listener: str) -> Client:
    client = connect(listener)
    assert client.reply().startswith("220 ")
    return client


def _is(expected: str, reply: str) -> bool:
    """OK: 2xx or 3xx; NO: 4xx or 5xx."""
    return reply[0] in {"OK": "23", "NO": "45"}[expected]


def _try_data(client: Client) -> None:
    """Whatever the trick has reached, it is used."""
    with client:
        try:
            if client.command("DATA").startswith("354"):
                client.send(_MESSAGE)
                client.reply()
        except (Hangup, ConnectionError):
            return


def of_kinds(tricks: list[Trick], *kinds: Kind) -> Iterator[Trick]:
    return (trick for trick in tricks if trick.kind in kinds)
