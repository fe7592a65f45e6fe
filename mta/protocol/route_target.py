"""What a route names instead of a relay: a transport with a word of its own. Pure, for step 2.

    lmtp:HOST[:PORT]   lmtp:/absolute/path/of/a/socket
    pipe:PROGRAM       a row of the programs
    http:WEBHOOK       a row of the webhooks
    uucp:NODE[!NODE]   a neighbour, or the way behind one

The text in its normal form is the next hop, too.
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from mta.protocol.esmtproutes import parse_relay

LMTP_PORT = 24
FORMS = "lmtp:HOST[:PORT], lmtp:/SOCKET, pipe:PROGRAM, http:WEBHOOK, uucp:NODE"

# The longest path that the kernel takes for a socket.
_MAX_SOCKET = 107
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
_NODES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(![A-Za-z0-9][A-Za-z0-9_.-]{0,63}){0,15}\Z")


def is_target(text: str) -> bool:
    """Whether the text begins like one of these; a host of such a name needs a trailing dot."""
    return text.partition(":")[0] in _PARSERS and ":" in text


def split_target(text: str) -> tuple[str, str]:
    """(transport, its word) of a target."""
    transport, _, word = text.partition(":")
    return transport, word


def parse_target(text: str) -> str:
    """The target in its normal form. Raises ValueError with a sentence."""
    transport, _, word = text.strip().partition(":")
    if transport not in _PARSERS:
        raise ValueError(f"{text!r} names no transport: write {FORMS}")
    return f"{transport}:{_PARSERS[transport](word.strip())}"


def _lmtp(word: str) -> str:
    if not word.startswith("/"):
        host, port = parse_relay(word)
        return f"{host}:{port or LMTP_PORT}"
    if not word.isprintable() or len(word.encode()) > _MAX_SOCKET or ".." in word.split("/"):
        raise ValueError(f"{word!r} cannot be the path of a socket")
    return str(PurePosixPath(word))


def _name(word: str) -> str:
    if not _NAME.match(word):
        raise ValueError(
            f"{word!r} is not a name: small letters, digits, hyphens and underscores are"
        )
    return word


def _nodes(word: str) -> str:
    if not _NODES.match(word):
        raise ValueError(f"{word!r} is not NODE or NODE!NODE")
    return word


_PARSERS: dict[str, Callable[[str], str]] = {
    "lmtp": _lmtp,
    "pipe": _name,
    "http": _name,
    "uucp": _nodes,
}
