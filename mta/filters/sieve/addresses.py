"""Addresses in header fields, as tests read them (RFC 5228, section 5.1), and in scripts.

Mail is hostile, so whatever the field says is read in linear time and nothing raises.
"""

import re
from collections.abc import Iterator

from mta.protocol import address
from mta.protocol.address import AddressError

# The end of a quoted string is optional, so that one without is not looked for again and again.
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<quoted>"(?:[^"\\]|\\.)*+"?)
      | (?P<open>\()
      | (?P<close>\))
      | (?P<special>[<>,;:])
      | (?P<word>[^ \t\r\n"()<>,;:\\]+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_MAX_ADDRESSES = 2_000


def listed(field: str) -> list[str]:
    """The bare addresses of a field, in their order; names, comments and groups are left out."""
    found: list[str] = []
    for words, in_angle in _elements(field):
        text = "".join(words)
        if not in_angle and "@" not in text and len(words) > 1:
            continue
        if text.startswith("@") and ":" in text:
            text = text.partition(":")[2]
        if text:
            found.append(text)
        if len(found) >= _MAX_ADDRESSES:
            break
    return found


def _elements(field: str) -> Iterator[tuple[list[str], bool]]:
    """(the words of one mailbox, did they stand in angle brackets) for each of the list."""
    words: list[str] = []
    angle: list[str] | None = None
    depth, in_angle = 0, False
    for match in _TOKEN.finditer(field):
        kind, text = match.lastgroup, match[0]
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        elif depth or kind == "space":
            continue
        elif in_angle:
            in_angle = text != ">"
            if in_angle and angle is not None:
                angle.append(text)
        elif text == "<" and angle is None:
            angle, in_angle = [], True
        elif text in (",", ";"):
            yield (words, False) if angle is None else (angle, True)
            words, angle = [], None
        elif text == ":":
            words = []
        elif kind != "special":
            words.append(_unquoted(text) if kind == "quoted" else text)
    yield (words, False) if angle is None else (angle, True)


def _unquoted(text: str) -> str:
    inner = text[1:].removesuffix('"')
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)


def one(text: str) -> str:
    """The one bare address of a script's argument, which may have a name before it.

    In normal form. Raises AddressError.
    """
    if "<" not in text:
        return address.parse(text.strip())
    found = listed(text)
    if len(found) != 1:
        raise AddressError("one address is expected")
    return address.parse(found[0])


def part_of(text: str, part: str, separators: str) -> str | None:
    """A part of an address (RFC 5228 2.7.4, RFC 5233 4); None where there is no such part.

    What is no address has no parts; the null reverse-path has empty ones (RFC 5228, 5.1 and 5.4).
    """
    if part in ("", "all"):
        return text
    local, _, domain = text.rpartition("@")
    if text and not (local and domain):
        return None
    if part in ("domain", "localpart"):
        return domain if part == "domain" else local
    places = [place for each in separators if (place := local.find(each)) > 0]
    if not places:
        return local if part == "user" else None
    return local[: min(places)] if part == "user" else local[min(places) + 1 :]
