"""Address lists of header fields (RFC 5322 3.4 and 4.4), changed where they have to be.

Only the address itself is changed: names, comments and folding around it stay. The parser is as
lenient as readers of mail are, except in the addresses.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from mta.protocol import address

_ATEXT = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
_PLAIN_ADDRESS = (
    rb"[" + _ATEXT + rb"]++(?:\.[" + _ATEXT + rb"]++)*+@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)*+"
)
_PLAIN_MAILBOX = (
    rb'(?:(?:"[^"\\\r\n]*+"|[ .' + _ATEXT + rb"])*+<" + _PLAIN_ADDRESS + rb">|"
    rb"" + _PLAIN_ADDRESS + rb")[ \t\r\n]*+"
)
# The usual list, which needs no change.
_PLAIN_LIST = re.compile(
    rb"[ \t\r\n]*+" + _PLAIN_MAILBOX + rb"(?:,[ \t\r\n]*+" + _PLAIN_MAILBOX + rb")*+\Z"
)
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<comment>\((?:[^()\\]|\\.)*+\))
      | (?P<quoted>"(?:[^"\\]|\\.)*+")
      | (?P<literal>\[[^\[\]\\\s]*+\])
      | (?P<special>[<>@,;:.])
      | (?P<atom>[^\x00-\x20\x7f()<>@,;:\\".\[\]]+)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_MAX_QUOTED = 100
_FOLD_AT = 70
_INDENT = "    "
_WORDS = ("atom", "quoted", "literal")


class MailboxListError(ValueError):
    """The text is no list of addresses; the message says why."""


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def completed(body: bytes, default_domain: str, *, ace: bool, column: int = 0) -> bytes | None:
    """The body of an address field with whole addresses, None when it needs no change.

    A lone local part gets `default_domain` (unless that is ""); with `ace` an international
    domain gets its ASCII form. `body` is folded as it was written, and begins in `column`.
    Raises MailboxListError.
    """
    if _PLAIN_LIST.match(body):
        return None
    return mapped(body, lambda text: _whole(text, default_domain, ace=ace), column)


def mapped(body: bytes, change: Callable[[str], str], column: int = 0) -> bytes | None:
    """The body of an address field with each address changed, None when none is.

    Raises MailboxListError.
    """
    text = body.decode("utf-8", "surrogateescape")
    elements: list[str] = []
    current: list[str] = []
    position, changed = 0, False
    for mailbox, separator in _mailboxes(_tokens(text)):
        old = "".join(token.text for token in mailbox)
        new = change(old) if old else ""
        if new != old:
            current += [text[position : mailbox[0].start], new]
            position, changed = mailbox[-1].end, True
        if separator is None or separator.text == ",":
            end = separator.start if separator else len(text)
            current.append(text[position:end])
            elements.append("".join(current).strip(" \t\r\n"))
            current, position = [], end + 1
    return _folded(elements, column).encode("utf-8", "surrogateescape") if changed else None


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        end = match.end() if match else _nested_comment(text, position)
        kind = (match.lastgroup if match else None) or "comment"
        if kind not in ("space", "comment"):
            yield _Token(kind, text[position:end], position, end)
        position = end


def _nested_comment(text: str, start: int) -> int:
    depth, position = 0, start
    while position < len(text):
        char = text[position]
        depth += (char == "(") - (char == ")")
        position += 2 if char == "\\" else 1
        if depth <= 0:
            break
    if text[start] != "(" or depth or position > len(text):
        raise MailboxListError("it cannot be read as a list of addresses")
    return position


def _mailboxes(tokens: Iterable[_Token]) -> Iterator[tuple[list[_Token], _Token | None]]:
    """(the tokens of an address, the separator behind it), the former [] where there is none."""
    gathered: list[_Token] = []
    angle: list[_Token] | None = None
    is_open = in_group = False
    for token in tokens:
        if angle is not None and is_open:
            is_open = token.text != ">"
            if is_open:
                angle.append(token)
            elif not angle:
                raise MailboxListError("empty angle brackets")
        elif token.text == "<" and angle is None:
            angle, is_open = [], True
        elif token.text == ":" and gathered and angle is None and not in_group:
            gathered, in_group = [], True
        elif token.text == "," or (token.text == ";" and in_group):
            yield _address_tokens(gathered, angle), token
            gathered, angle, in_group = [], None, in_group and token.text == ","
        elif token.text in ("<", ">", ";", ":") or angle is not None:
            raise MailboxListError("it cannot be read as a list of addresses")
        else:
            gathered.append(token)
    if is_open or in_group:
        raise MailboxListError("it ends in the middle of an address or a group")
    yield _address_tokens(gathered, angle), None


def _address_tokens(gathered: list[_Token], angle: list[_Token] | None) -> list[_Token]:
    tokens = gathered if angle is None else angle
    if any(one.kind in _WORDS and other.kind in _WORDS for one, other in pairwise(tokens)):
        raise MailboxListError("a name without an address")
    return tokens


def _whole(text: str, default_domain: str, *, ace: bool) -> str:
    """The address in the form it should have. An obsolete source route is kept as it is."""
    if text == "@":
        return text
    route, colon, rest = text.rpartition(":") if text.startswith("@") else ("", "", text)
    local, at, domain = rest.rpartition("@") if "@" in rest else (rest, "", "")
    try:
        if not _PLAIN_LOCAL.match(local):
            address.parse(f"{local}@example")
        normal = address.normalize_domain(domain) if at else default_domain
    except (address.AddressError, UnicodeEncodeError) as error:
        text = ascii(f"{rest[:_MAX_QUOTED]}: {error}")[1:-1]
        raise MailboxListError(text[: 3 * _MAX_QUOTED]) from error
    if not normal or (at and (domain.isascii() or not ace)):
        return text
    return f"{route}{colon}{local}@{normal}"


def _folded(elements: list[str], column: int) -> str:
    """The elements on lines of _FOLD_AT columns, if they can be; folding inside stays."""
    pieces: list[str] = []
    for number, element in enumerate(elements):
        if number and column + len(element.partition("\r\n")[0]) > _FOLD_AT:
            pieces.append(",\r\n" + _INDENT)
            column = len(_INDENT)
        else:
            pieces.append(", " if number else " ")
            column += 2
        pieces.append(element)
        last = element.rpartition("\r\n")[2]
        column = len(last) if last != element else column + len(element)
    return "".join(pieces)
