"""What fuzzed sessions are made of: names, addresses, commands right and wrong, contents.

Everything takes its chances from the `Random` it is given, and from nothing else.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.support import relay_tricks

DOMAIN = "fuzz.test"
PASSWORD = "correct horse"
MAILBOXES = ("bob", "ann", "dora")
NO_MAILBOX = ("nobody", "friends", "Bob.Smith", "böb", "o'hara", "x" * 64, "x" * 65)
FOREIGN = ("victim@elsewhere.example", "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]", "postmaster")
BACKUP = "backup.example"
# Names that nobody has. Not more, so that what remembers names is soon full of them.
STRANGERS = tuple(f"stranger{number}" for number in range(500))
TRICKS = tuple(
    relay_tricks.octets(trick.text)
    for trick in relay_tricks.of_kinds(
        relay_tricks.read(), relay_tricks.Kind.TO, relay_tricks.Kind.OURS
    )
)
MESSAGES = tuple(
    path.read_bytes()
    for path in sorted((Path(__file__).parents[1] / "data" / "messages").rglob("*.eml"))
)
PARAMETERS = (
    "SIZE=100",
    "SIZE=0",
    "SIZE=-1",
    "SIZE=18446744073709551616",
    "SIZE=x",
    "SIZE=",
    "SIZE",
    "BODY=8BITMIME",
    "BODY=7BIT",
    "BODY=BINARYMIME",
    "BODY",
    "SMTPUTF8",
    "SMTPUTF8=1",
    "RET=FULL",
    "RET=HDRS",
    "RET=X",
    "ENVID=a",
    "ENVID=+2",
    "ENVID=+41",
    "AUTH=<>",
    "AUTH=a+40b",
    "AUTH",
    "VERP",
    "VERP=+=",
    "EXDATA",
    "PRDR",
    "REQUIRETLS",
    "NOTIFY=NEVER",
    "NOTIFY=SUCCESS",
    "NOTIFY=NEVER,FAILURE",
    "NOTIFY=FAILURE,DELAY",
    "ORCPT=rfc822;a@b.example",
    "ORCPT=;",
    "ORCPT=utf-8;b\\x{FC}b@example.test",
    "ORCPT=rfc822;+ZZ",
    "X-Y=z",
    "=x",
    "=",
    "SECURITY=STARTTLS",
)
TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r\n.\n",
    b"\0",
    b"<>",
    b"<",
    b">",
    b"@",
    b":",
    b'"',
    b"\\",
    b"%s%n",
    b"{7*7}",
    b"' OR 1=1 --",
    b"\xff\xfe",
    "ü".encode(),
    "\u202e".encode(),
    b"=",
    b"*",
    b"BDAT 99999999999999999999 LAST",
    b"BDAT 0 LAST",
    b"DATA",
    b"MAIL FROM:<>",
    b"STARTTLS",
    b"A" * 3000,
)
VERBS = (
    b"HELO EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP AUTH STARTTLS ETRN TURN PROXY"
    b" XCLIENT SEND LHLO GET"
).split()


def helo(rng: Random) -> bytes:
    name = rng.choice(
        ("client.example.org", "[127.0.0.1]", "[IPv6:::1]", "localhost", "", "two words", "b\xfcb")
        + ("x" * rng.choice((255, 256, 512)),)
    )
    return f"{rng.choice(('HELO', 'EHLO', 'ehlo'))} {name}".encode() + b"\r\n"


def mail(rng: Random) -> bytes:
    path = rng.choice(
        ("<>", "<alice@example.org>", f"<bob@{DOMAIN}>", f"<böb@{DOMAIN}>", "<a@b@c>", "x", "<")
    )
    return f"MAIL FROM:{path}{_parameters(rng)}\r\n".encode()


def good_mail(rng: Random) -> bytes:
    sender = rng.choice(("", "alice@example.org", f"stranger@{DOMAIN}"))
    word = rng.choice(("", "", " BODY=8BITMIME", " SIZE=100", " EXDATA", " PRDR", " VERP"))
    return f"MAIL FROM:<{sender}>{word}\r\n".encode()


def rcpt(rng: Random) -> bytes:
    if rng.random() < 0.3:
        return b"RCPT TO:" + rng.choice(TRICKS).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n"
    return f"RCPT TO:<{recipient(rng)}>{_parameters(rng)}\r\n".encode()


def good_rcpt(rng: Random) -> bytes:
    return f"RCPT TO:<{rng.choice(MAILBOXES[:2])}@{DOMAIN}>\r\n".encode()


def recipient(rng: Random) -> str:
    if rng.random() < 0.2:
        return rng.choice(FOREIGN)
    local = rng.choice((*MAILBOXES, *NO_MAILBOX, rng.choice(STRANGERS)))
    return f"{local}@{rng.choice((DOMAIN, DOMAIN.upper(), BACKUP))}"


def auth(rng: Random) -> bytes:
    mechanism = rng.choice(
        ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL", "CRAM-MD5", "", "x")
    )
    return f"AUTH {mechanism} ".encode() + rng.choice(_RESPONSES)(rng) + b"\r\n"


def good_auth(rng: Random) -> bytes:
    response = f"\0{rng.choice(MAILBOXES)}@{DOMAIN}\0{PASSWORD}".encode()
    return b"AUTH PLAIN " + base64.b64encode(response) + b"\r\n"


def response(rng: Random) -> bytes:
    """A line in answer to a challenge, right or wrong."""
    return rng.choice(_RESPONSES)(rng) + b"\r\n"


def bdat(rng: Random) -> bytes:
    """With as many octets as it says."""
    chunk = rng.randbytes(rng.choice((0, 1, 2, 80, 3000)))
    last = rng.choice((b"", b" LAST", b" last"))
    return b"BDAT %d%b\r\n%b" % (len(chunk), last, chunk)


def other(rng: Random) -> bytes:
    """A verb that needs no particular state, or knows none; its argument may be anything."""
    argument = rng.choice((b"", b" x", b" bob@" + DOMAIN.encode(), b" <>", b" :", b" \xff"))
    return rng.choice((*VERBS[6:12], *VERBS[14:])) + argument + b"\r\n"


def content(rng: Random) -> bytes:
    """A message with a last CRLF, dots doubled; at times one that is damaged."""
    message = rng.choice((b"Subject: x\r\n\r\nx\r\n", b"\r\n", b"", *MESSAGES))
    message = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if rng.random() < 0.5:
        message = mutate(rng, message)
    message = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
    return message if message.endswith(b"\r\n") else message + b"\r\n"


def mutate(rng: Random, octets: bytes) -> bytes:
    """The octets with one to four things done to them."""
    for _ in range(rng.randint(1, 4)):
        octets = rng.choice(_MUTATIONS)(rng, octets)
    return octets


def _parameters(rng: Random) -> str:
    count = rng.choice((0, 0, 0, 1, 2, 5, 40))
    return "".join(f" {word}" for word in rng.choices(PARAMETERS, k=count))


def _replace(rng: Random, octets: bytes, start: int, end: int) -> bytes:
    return octets[:start] + rng.choice(TOKENS) + octets[end:]


def _flip(rng: Random, octets: bytes) -> bytes:
    place = rng.randrange(len(octets) + 1)
    return octets[:place] + rng.randbytes(1) + octets[place + 1 :]


def _insert(rng: Random, octets: bytes) -> bytes:
    place = rng.randrange(len(octets) + 1)
    return _replace(rng, octets, place, place)


def _cut(rng: Random, octets: bytes) -> bytes:
    start, end = _slice(rng, octets)
    return octets[:start] + octets[end:]


def _repeat(rng: Random, octets: bytes) -> bytes:
    start, end = _slice(rng, octets)
    return octets[:end] + octets[start:end] * rng.choice((1, 2, 20)) + octets[end:]


def _truncate(rng: Random, octets: bytes) -> bytes:
    return octets[: rng.randrange(len(octets) + 1)]


def _swap_case(rng: Random, octets: bytes) -> bytes:
    return octets.swapcase()


def _line_ends(rng: Random, octets: bytes) -> bytes:
    return octets.replace(b"\r\n", rng.choice((b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\r\n")), 1)


def _slice(rng: Random, octets: bytes) -> tuple[int, int]:
    start = rng.randrange(len(octets) + 1)
    return start, min(len(octets), start + rng.choice((1, 2, 10, 100)))


def _secret(text: str) -> Callable[[Random], bytes]:
    encoded = base64.b64encode(text.encode())
    return lambda rng: encoded


_MUTATIONS = (_flip, _insert, _cut, _repeat, _truncate, _swap_case, _line_ends)
_RESPONSES: tuple[Callable[[Random], bytes], ...] = (
    _secret(f"\0bob@{DOMAIN}\0{PASSWORD}"),
    _secret(f"\0bob@{DOMAIN}\0wrong"),
    _secret(f"ann@{DOMAIN}\0bob@{DOMAIN}\0{PASSWORD}"),
    _secret("\0\0"),
    _secret("\0\0\0\0"),
    _secret(f"n,,n=bob@{DOMAIN},r=abc"),
    _secret("c=biws,r=abc,p=AAAA"),
    _secret("p=tls-exporter,,n=x,r=y"),
    lambda rng: b"",
    lambda rng: b"=",
    lambda rng: b"*",
    lambda rng: b"!!!",
    lambda rng: b"A" * rng.choice((1, 2, 3, 13000)),
    lambda rng: base64.b64encode(rng.randbytes(rng.randrange(100))),
    lambda rng: base64.b64encode(rng.randbytes(9000)),
)
