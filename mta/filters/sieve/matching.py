"""How a value is compared with a key: match types and comparators.

RFC 5228 sections 2.7.1 and 2.7.3, RFC 5231 (relational), RFC 4790 section 9 (comparators),
draft-ietf-sieve-regex.
"""

import enum
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import re2

from mta.filters.sieve.wildcards import Wildcard, wildcard

# Some thousand states of one expression; a person's has some hundred. re2 remembers the last 128.
_EXPRESSION_MEMORY = 512 << 10
_MAX_EXPRESSION = 4_096
# States of an expression times characters of a text: below a second at the worst.
_MAX_EXPRESSION_WORK = 40_000_000

_DIGITS = re.compile(r"[0-9]+")

Span = tuple[int, int]


class Match(enum.Enum):
    IS = "is"
    CONTAINS = "contains"
    MATCHES = "matches"
    REGEX = "regex"
    COUNT = "count"
    VALUE = "value"


class Comparator(enum.Enum):
    OCTET = "i;octet"
    CASEMAP = "i;ascii-casemap"
    NUMERIC = "i;ascii-numeric"


RELATIONS = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}
_WORDS = {
    Match.IS: ("is", "is not"),
    Match.CONTAINS: ("contains", "does not contain"),
    Match.MATCHES: ("matches", "does not match"),
    Match.REGEX: ("matches the expression", "does not match the expression"),
}
_RELATION_WORDS = {
    "gt": ("is greater than", "is not greater than"),
    "ge": ("is at least", "is less than"),
    "lt": ("is less than", "is not less than"),
    "le": ("is at most", "is more than"),
    "eq": ("equals", "does not equal"),
    "ne": ("differs from", "does not differ from"),
}


class BadKey(ValueError):
    """The key cannot be compared with: an expression that is none. The message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key ready to be compared: as it was written, and as the comparison needs it."""

    text: str
    folded: str
    pattern: Any = None

    @property
    def expression_size(self) -> int:
        """In states of re2, 0 for what is no regular expression."""
        return getattr(self.pattern, "programsize", 0)


@dataclass(frozen=True, slots=True)
class Comparison:
    match: Match = Match.IS
    comparator: Comparator = Comparator.CASEMAP
    relation: str = ""

    def key(self, text: str) -> Key:
        """Raises BadKey."""
        if self.match is Match.REGEX:
            folds = self.comparator is Comparator.CASEMAP
            return Key(text, text, expression(text, fold_case=folds))
        folded = self.fold(text)
        if self.match is Match.MATCHES:
            return Key(text, folded, wildcard(folded))
        return Key(text, folded)

    def fold(self, text: str) -> str:
        """ASCII only: i;ascii-casemap leaves other letters alone (RFC 4790, section 9.2).

        The length stays, so that a place in the folded text is the same in the value.
        """
        if self.comparator is not Comparator.CASEMAP or self.match is Match.REGEX:
            return text
        return text.encode("utf-8", "replace").lower().decode()

    def holds(self, value: str, folded: str, key: Key) -> Sequence[Span] | None:
        """Where the match variables are in the value, whole match first; None without a match.

        () for match types that have no variables. Raises TooCostly.
        """
        match self.match:
            case Match.IS:
                return () if self._equal(folded, key.folded) else None
            case Match.CONTAINS:
                return () if key.folded in folded else None
            case Match.MATCHES:
                return _wildcard_spans(key.pattern, folded)
            case Match.REGEX:
                return _expression_spans(key.pattern, value)
        return () if self._related(folded, key.folded) else None

    def _equal(self, value: str, key: str) -> bool:
        if self.comparator is Comparator.NUMERIC:
            return number(value) == number(key)
        return value == key

    def _related(self, value: str, key: str) -> bool:
        if self.match is Match.COUNT or self.comparator is Comparator.NUMERIC:
            return bool(RELATIONS[self.relation](number(value), number(key)))
        return bool(RELATIONS[self.relation](value.encode(), key.encode()))

    def words(self, *, matched: bool) -> str:
        """The comparison as the verb of a sentence."""
        words = _RELATION_WORDS[self.relation] if self.relation else _WORDS[self.match]
        return words[0 if matched else 1]


def number(text: str) -> tuple[bool, int, str]:
    """i;ascii-numeric: the digits at the beginning; what has none is above all numbers.

    Digits are compared without being made a number, which for many of them takes long.
    """
    match = _DIGITS.match(text)
    if match is None:
        return (True, 0, "")
    digits = match[0].lstrip("0")
    return (False, len(digits), digits)


def _wildcard_spans(pattern: Wildcard, folded: str) -> Sequence[Span] | None:
    spans = pattern.spans(folded)
    return None if spans is None else ((0, len(folded)), *spans)


def _expression_spans(pattern: Any, value: str) -> Sequence[Span] | None:
    # Of a text that is too long for the expression the beginning is searched.
    found = pattern.search(value[: _MAX_EXPRESSION_WORK // pattern.programsize])
    if found is None:
        return None
    return tuple(found.span(each) for each in range(pattern.groups + 1))


def expression(text: str, *, fold_case: bool) -> Any:
    """A regular expression, run in linear time and bounded memory. Raises BadKey."""
    if len(text) > _MAX_EXPRESSION:
        raise BadKey(f"an expression has at most {_MAX_EXPRESSION} characters")
    options = re2.Options()
    options.max_mem = _EXPRESSION_MEMORY
    options.case_sensitive = not fold_case
    options.log_errors = False
    # The draft wants POSIX classes in brackets and "." for any character.
    options.dot_nl = True
    try:
        return re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise BadKey(f"the regular expression cannot be used: {reason}") from error
