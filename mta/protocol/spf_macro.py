"""Macros in SPF records and explanations (RFC 7208 7): parsed once, expanded with facts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

IN_DOMAINS = "slodiphv"
IN_EXPLANATIONS = "slodiphvcrt"
MAX_NAME = 253

_TOKEN = re.compile(
    r"(?P<literal>[\x21-\x24\x26-\x7e]+)"
    r"|%(?P<escape>[%_-])"
    r"|%\{(?P<letter>[A-Za-z])(?P<keep>[0-9]{0,3})(?P<reverse>[Rr]?)(?P<delimiters>[-.+,/_=]*)\}"
)
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_EXPANSION_AT_END = re.compile(r"%(?:\{[^{}%]{1,100}\}|[-_%])\Z")
_TOP_LABEL = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")


class SpfSyntaxError(ValueError):
    """The record is against the grammar; the message says where."""


@dataclass(frozen=True, slots=True)
class Macro:
    """`keep` is how many parts to keep from the right, 0 for all."""

    letter: str
    keep: int
    reverse: bool
    delimiters: str
    url_escape: bool


MacroString: TypeAlias = tuple[str | Macro, ...]


def parse_domain_spec(text: str) -> MacroString:
    """Raises SpfSyntaxError. The name must end in a top-level label or in a macro."""
    parts = parse_macro_string(text)
    if not _EXPANSION_AT_END.search(text):
        _, dot, label = text.removesuffix(".").rpartition(".")
        if not dot or not _TOP_LABEL.match(label):
            raise SpfSyntaxError(f"{text!r} is not a domain name")
    return parts


def parse_macro_string(text: str, letters: str = IN_DOMAINS) -> MacroString:
    """Raises SpfSyntaxError."""
    parts: list[str | Macro] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise SpfSyntaxError(f"{text[at : at + 20]!r} is not allowed here")
        parts.append(_part(token, letters))
        at = token.end()
    return tuple(parts)


def parse_explanation(text: str) -> MacroString:
    """The text of an explanation: macro strings with spaces between. Raises SpfSyntaxError."""
    parts: list[str | Macro] = []
    for word in re.split(r"( +)", text):
        parts += [word] if word.startswith(" ") else parse_macro_string(word, IN_EXPLANATIONS)
    return tuple(parts)


def asks_for(letter: str, parts: MacroString) -> bool:
    return any(isinstance(part, Macro) and part.letter == letter for part in parts)


def expand(parts: MacroString, values: Mapping[str, str]) -> str:
    """`values` has the value of each lower-case letter that may occur."""
    return "".join(part if isinstance(part, str) else _value(part, values) for part in parts)


def expand_domain(parts: MacroString, values: Mapping[str, str]) -> str:
    """As a name to look up: over-long names lose labels from the left (RFC 7208 7.3)."""
    name = expand(parts, values).removesuffix(".")
    while len(name) > MAX_NAME and "." in name:
        name = name.partition(".")[2]
    return name


def _part(token: re.Match[str], letters: str) -> str | Macro:
    if token["literal"]:
        return token["literal"]
    if token["escape"]:
        return _ESCAPES[token["escape"]]
    letter = token["letter"].lower()
    if letter not in letters:
        raise SpfSyntaxError(f"the macro {token.group()} is not allowed here")
    if token["keep"] and not int(token["keep"]):
        raise SpfSyntaxError(f"the macro {token.group()} keeps nothing")
    return Macro(
        letter,
        int(token["keep"] or 0),
        bool(token["reverse"]),
        token["delimiters"] or ".",
        token["letter"].isupper(),
    )


def _value(macro: Macro, values: Mapping[str, str]) -> str:
    value = values[macro.letter]
    if macro.keep or macro.reverse or macro.delimiters != ".":
        parts: Sequence[str] = re.split(f"[{re.escape(macro.delimiters)}]", value)
        if macro.reverse:
            parts = parts[::-1]
        value = ".".join(parts[-macro.keep :])
    return quote(value, safe="-._~") if macro.url_escape else value
