"""Strings with variables in them (RFC 5229, section 3), and encoded characters (RFC 5228, 2.4.2.4).

A template is cut into its pieces once, when the script is compiled.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_MATCH_VARIABLE = 99
# What a template may grow to when it is expanded; a value of a variable is bounded as well.
MAX_EXPANDED = 64 << 10

_REFERENCE = re.compile(r"\$\{((?:[A-Za-z_]\w*\.)*(?:[A-Za-z_]\w*|[0-9]+))\}", re.ASCII)
NAME = re.compile(r"(?:global\.)?[A-Za-z_]\w*\Z", re.ASCII | re.IGNORECASE)
_ENCODED = re.compile(r"\$\{(hex|unicode):([0-9A-Fa-f\s]*)\}", re.IGNORECASE)


class TemplateError(ValueError):
    """The reference cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """`name` in lower case, or the digits of a match variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    pieces: tuple[str | Reference, ...]

    def expand(self, value: Callable[[str], str]) -> str:
        """The text with the values of the variables; what grows beyond all bounds is cut."""
        found: list[str] = []
        size = 0
        for piece in self.pieces:
            text = piece if isinstance(piece, str) else value(piece.name)
            found.append(text[: MAX_EXPANDED - size])
            size += len(found[-1])
        return "".join(found)


def parse(text: str, *, has_globals: bool) -> str | Template:
    """The text itself when it refers to nothing. Raises TemplateError."""
    if "${" not in text:
        return text
    pieces: list[str | Reference] = []
    position = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > position:
            pieces.append(text[position : match.start()])
        pieces.append(Reference(_name(match[1], has_globals=has_globals)))
        position = match.end()
    if not position:
        return text
    return Template((*pieces, text[position:]) if position < len(text) else tuple(pieces))


def _name(written: str, *, has_globals: bool) -> str:
    if written.isdigit():
        number = written.lstrip("0") or "0"
        if len(number) > 2 or int(number) > MAX_MATCH_VARIABLE:
            raise TemplateError(f"${{{written}}}: at most ${{{MAX_MATCH_VARIABLE}}} is known")
        return number
    return checked_name(written, has_globals=has_globals)


def checked_name(written: str, *, has_globals: bool) -> str:
    """The name of a variable in lower case. Raises TemplateError."""
    if not NAME.match(written) or ("." in written and not has_globals):
        shown = written[:40]
        if "." in written:
            raise TemplateError(f"{shown!r}: the namespace is not known here")
        raise TemplateError(f"{shown!r} is no name of a variable")
    return written.lower()


def decode_characters(text: str) -> str:
    """`${hex:24 24}` and `${unicode:40}` replaced. Raises TemplateError."""
    return _ENCODED.sub(_character, text) if "${" in text else text


def _character(match: re.Match[str]) -> str:
    numbers = match[2].split()
    if not numbers:
        return match[0]
    try:
        if match[1].lower() == "hex":
            if any(len(each) > 2 for each in numbers):
                return match[0]
            return bytes(int(each, 16) for each in numbers).decode()
        if any(len(each) > 8 for each in numbers):
            raise ValueError("too many digits")
        found = "".join(chr(int(each, 16)) for each in numbers)
        found.encode()
    except (ValueError, OverflowError) as error:
        raise TemplateError(f"{match[0][:40]!r} is no character: {error}") from error
    return found
