"""Session number N of a seed: always the same one, whichever sessions ran before.

So a failure is played again by its seed and its number alone.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz import words
from tests.fuzz.script import Abort, Ask, HalfClose, Pause, Script, Send, Step

DIALOGS = Path(__file__).parents[1] / "data" / "dialogs"
# One session in so many goes through the orders of verbs, one after another.
ORDER_EVERY = 10
# Each with what makes it a command that must be answered, whatever came before.
ORDERED: tuple[Callable[[Random], bytes], ...] = (
    lambda rng: b"EHLO client.example.org\r\n",
    words.good_mail,
    words.good_rcpt,
    lambda rng: b"DATA\r\n",
    lambda rng: b"BDAT 2 LAST\r\n\r\n",
    lambda rng: b"RSET\r\n",
    words.good_auth,
    lambda rng: b"STARTTLS\r\n",
)
ORDERS = len(ORDERED) ** 4
_EHLO = b"EHLO client.example.org\r\n"
_DOORS = ("smtp", "smtp", "smtp", "submission", "smtps")

Kind = Callable[[Random], Script]


def session(seed: int, number: int) -> Script:
    """Session `number` of the run with that seed."""
    rng = Random(f"{seed}/{number}")
    place, rest = divmod(number, ORDER_EVERY)
    if rest == 0 and place < ORDERS:
        return order(place, rng)
    return rng.choices(_KINDS, _WEIGHTS)[0](rng)


def order(number: int, rng: Random) -> Script:
    """One of the 4,096 orders of four verbs out of eight, each verb waiting for its answer."""
    chosen = next(itertools.islice(itertools.product(ORDERED, repeat=4), number, None))
    return Script("order of verbs", tuple(Ask(verb(rng)) for verb in chosen))


def noise(rng: Random) -> Script:
    """Random octets in some packets, at any door."""
    packets = [rng.randbytes(rng.choice((1, 20, 1000, 20_000))) for _ in range(rng.randint(1, 5))]
    steps = tuple(Send(packet, packet.count(b"\n")) for packet in packets)
    return Script("noise", steps, rng.choice(_DOORS), in_clear=rng.random() < 0.5)


def http(rng: Random) -> Script:
    verb = rng.choice((b"GET", b"POST", b"CONNECT", b"PRI"))
    lines = [verb + b" / HTTP/1.1", b"Host: mail", b"User-Agent: x", b"Content-Length: 9", b""]
    octets = b"\r\n".join(lines) + b"\r\nQUIT\r\n\r\n"
    return Script("HTTP", (Send(octets, octets.count(b"\n")),), rng.choice(_DOORS))


def tls_hello(rng: Random) -> Script:
    """TLS where it is not spoken yet, SSH, or SMTP where TLS is expected."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(505)
    octets = rng.choice((hello, b"SSH-2.0-OpenSSH_9.2\r\n", _EHLO, b"\x80\x2e\x01\x00\x02"))
    return Script("another protocol", (Send(octets, 1),), rng.choice(_DOORS), in_clear=True)


def dialog(rng: Random) -> Script:
    """One of the dialogs of the tests, damaged: what its client says, in one stream."""
    lines = list(rng.choice(_DIALOGS))
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(lines))
        change = rng.randrange(4)
        if change == 0:
            lines[place] = words.mutate(rng, lines[place])
        elif change == 1:
            lines.insert(place, rng.choice(lines))
        elif change == 2:
            other = rng.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        elif len(lines) > 1:
            del lines[place]
    return Script("damaged dialog", _in_packets(rng, lines), rng.choice(_DOORS))


def storm(rng: Random) -> Script:
    """The same few commands over and over, faster than they are answered."""
    few = [rng.choice((b"RSET\r\n", b"NOOP\r\n", words.good_mail(rng))) for _ in range(3)]
    lines = [_EHLO, *(few * rng.randint(10, 60))]
    return Script("storm", (Send(b"".join(lines), len(lines)),))


def shuffle(rng: Random) -> Script:
    """Commands right and wrong in any order, in packets cut anywhere."""
    makers = (
        *(words.helo, words.mail, words.rcpt, words.other, words.auth, words.bdat),
        *(words.good_mail, words.good_rcpt, words.good_mail, words.good_rcpt),
        lambda rng: b"DATA\r\n",
        lambda rng: b".\r\n",
    )
    lines = [_EHLO, *(rng.choice(makers)(rng) for _ in range(rng.randint(5, 40)))]
    return Script("shuffle", _in_packets(rng, lines), rng.choice(_DOORS))


def dialog_of_asking(rng: Random) -> Script:
    """Single commands, right and wrong, each waiting for its answer."""
    makers = (words.helo, words.mail, words.rcpt, words.good_mail, words.good_rcpt, words.bdat)
    lines = [_EHLO, *(rng.choice(makers)(rng) for _ in range(rng.randint(5, 15)))]
    steps = tuple(Ask(line, words.content(rng)) for line in (*lines, b"DATA\r\n", b"QUIT\r\n"))
    return Script("asking", steps, rng.choice(_DOORS))


def letters(rng: Random) -> Script:
    """Messages, good and damaged, for recipients most of whom exist."""
    steps: list[Step] = [Ask(_EHLO)]
    for _ in range(rng.randint(1, 4)):
        recipients = (words.good_rcpt, words.good_rcpt, words.rcpt)
        steps.append(Ask(words.good_mail(rng)))
        steps += [Ask(rng.choice(recipients)(rng)) for _ in range(rng.randint(1, 4))]
        steps.append(Ask(b"DATA\r\n", words.content(rng)))
    return Script("letters", tuple(steps))


def many_recipients(rng: Random) -> Script:
    lines = [_EHLO, words.good_mail(rng)]
    lines += [words.rcpt(rng) for _ in range(rng.randint(50, 150))]
    lines += [b"DATA\r\n", words.content(rng) + b".\r\n", b"QUIT\r\n"]
    return Script("many recipients", (Send(b"".join(lines), len(lines)),))


def endless(rng: Random) -> Script:
    """A line without an end, as a command or within a message; or a flood of short ones."""
    start = rng.choice((b"", b"EHLO ", _EHLO + b"MAIL FROM:<", _into_data(rng)))
    line = rng.choice((b"A", b"\0", b".", b"\r")) * rng.choice((5_000, 70_000, 400_000))
    if rng.random() < 0.2:
        line = b"\r\n." * 5_000
    steps: tuple[Step, ...] = (Send(start, start.count(b"\n") + 1), Send(line))
    return Script("endless line", (*steps, Abort()) if rng.random() < 0.5 else steps)


def long_words(rng: Random) -> Script:
    """Parameters and arguments far beyond what they may be."""
    long = b"A" * rng.choice((500, 2040, 2048, 2049, 12_288, 50_000))
    lines = [
        _EHLO,
        *(b"MAIL FROM:<alice@example.org> " + name + long + b"\r\n" for name in _LONG_NAMES),
        b"RCPT TO:<" + long + b"@fuzz.test>\r\n",
        b"VRFY " + long + b"\r\n",
        b"HELO " + long + b"\r\n",
        b"BDAT " + b"9" * rng.choice((5, 20, 21, 400)) + b"\r\n",
    ]
    rng.shuffle(lines)
    return Script("long words", _in_packets(rng, lines))


def passwords(rng: Random) -> Script:
    """AUTH right, wrong and impossible, in clear and under TLS."""
    steps: list[Step] = [Ask(_EHLO)]
    if rng.random() < 0.3:
        steps += [Ask(b"STARTTLS\r\n"), Ask(_EHLO)]
    lines = []
    for _ in range(rng.randint(1, 4)):
        lines += [words.auth(rng), words.response(rng), words.response(rng)]
    lines += [words.mail(rng), words.rcpt(rng)]
    return Script("passwords", (*steps, Send(b"".join(lines), len(lines))), "submission")


def slow(rng: Random) -> Script:
    """A transaction that comes in small pieces."""
    octets = _EHLO + _into_data(rng) + words.content(rng)[:200] + b".\r\nQUIT\r\n"
    steps: list[Step] = []
    for start in range(0, len(octets), max(1, len(octets) // 8)):
        piece = octets[start : start + max(1, len(octets) // 8)]
        steps += [Send(piece, piece.count(b"\n")), Pause(rng.random() * 0.05)]
    return Script("slow", tuple(steps))


def broken_off(rng: Random) -> Script:
    """The connection is reset or half closed at any moment, most often within a content."""
    chunk = b"BDAT 5000\r\n" + b"x" * rng.randrange(4999)
    into = rng.choice((_into_data(rng) + words.content(rng), _into(rng) + chunk, _into(rng)))
    octets = _EHLO + into
    if rng.random() < 0.3:
        octets = octets[: rng.randrange(len(octets))]
    end = rng.choice((Abort(), HalfClose()))
    steps: tuple[Step, ...] = (Send(octets, octets.count(b"\n")), Pause(rng.random() * 0.02), end)
    return Script("broken off", steps)


def starttls(rng: Random) -> Script:
    """A handshake that is good, none, or rubbish; with more commands in its packet."""
    after = rng.choice((b"", b"MAIL FROM:<>\r\n", b"\x16\x03\x01", rng.randbytes(300)))
    if rng.random() < 0.3:
        lines = [words.good_mail(rng), words.good_rcpt(rng), b"DATA\r\n"]
        return Script("STARTTLS", tuple(Ask(line) for line in (_EHLO, b"STARTTLS\r\n", *lines)))
    return Script("STARTTLS", (Ask(_EHLO), Send(b"STARTTLS\r\n" + after, 1)))


def proxy(rng: Random) -> Script:
    """PROXY headers from somebody who is no balancer."""
    header = rng.choice(
        (
            b"PROXY TCP4 192.0.2.7 203.0.113.1 40000 25\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n" + rng.randbytes(20),
        )
    )
    lines = [words.mutate(rng, header), _EHLO, words.good_mail(rng), words.rcpt(rng)]
    return Script("PROXY header", (Send(b"".join(lines), len(lines)),), rng.choice(_DOORS))


def _into(rng: Random) -> bytes:
    return words.good_mail(rng) + words.good_rcpt(rng)


def _into_data(rng: Random) -> bytes:
    return _into(rng) + b"DATA\r\n"


def _in_packets(rng: Random, lines: list[bytes]) -> tuple[Step, ...]:
    """One stream, cut at one or two places that have nothing to do with the lines."""
    octets = b"".join(lines)
    cuts = sorted(rng.randrange(len(octets) + 1) for _ in range(rng.randint(0, 2)))
    pieces = [octets[start:end] for start, end in itertools.pairwise((0, *cuts, len(octets)))]
    return (*(Send(piece) for piece in pieces[:-1]), Send(pieces[-1], len(lines)))


def _client_lines(path: Path) -> list[bytes]:
    said = (line.removeprefix("C:") for line in path.read_text().splitlines() if line[:2] == "C:")
    return [f"{line.removeprefix(' ')}\r\n".encode() for line in said]


_DIALOGS = tuple(_client_lines(path) for path in sorted(DIALOGS.glob("*.dialog")))
_LONG_NAMES = (b"", b"SIZE=", b"ENVID=", b"AUTH=", b"X=")
_KINDS_AND_WEIGHTS: tuple[tuple[Kind, int], ...] = (
    (noise, 6),
    (http, 2),
    (tls_hello, 3),
    (dialog, 25),
    (storm, 4),
    (shuffle, 20),
    (dialog_of_asking, 8),
    (letters, 6),
    (many_recipients, 1),
    (endless, 2),
    (long_words, 3),
    (passwords, 5),
    (slow, 2),
    (broken_off, 6),
    (starttls, 2),
    (proxy, 2),
)
_KINDS = tuple(kind for kind, _ in _KINDS_AND_WEIGHTS)
_WEIGHTS = tuple(weight for _, weight in _KINDS_AND_WEIGHTS)
