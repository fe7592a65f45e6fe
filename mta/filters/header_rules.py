"""Rules on header fields, a line each, as the filter `headers` keeps them:

    [not] FIELD TEST [VALUE] -> ACTION [ARGUMENT]

    Subject contains lottery -> refuse We do not gamble.
    List-Id matches *.ads.example* -> add X-Bulk: yes
    Received count > 30 -> hold
    not From regex ^.*@example\\.com -> pass

Tests: `contains`, `is`, `matches` (with * and ?), `regex` (RE2), none of which minds the case of
letters but `regex`; `missing`; `count` with <, = or > and a number. A field that stands several
times is tested each by itself. Values are decoded (RFC 2047) and on one line. `not` turns the
answer round.

Actions: `refuse [TEXT]`, `hold`, `discard`, `pass` (no further rules) end the rules; `add FIELD:
VALUE` and `remove FIELD` go on with the next. A line that begins with # is a comment.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.header import Header
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import re2

from mta.filters.parts import decoded_words
from mta.protocol.header_fields import Field, cut, split

MAX_RULES = 500
MAX_LINE = 1000
# Longer values are looked at so far.
_MAX_VALUE = 20_000
_REGEX_MEMORY = 8 << 20

_LINE = re.compile(r"(?P<test>.+?)[ \t]*->[ \t]*(?P<action>[a-z]+)(?:[ \t]+(?P<argument>.*))?\Z")
_TEST = re.compile(
    r"(?P<negated>not[ \t]+)?(?P<field>\S+)[ \t]+(?P<how>[a-z]+)(?:[ \t]+(?P<value>.*))?\Z"
)
_WILDCARD = re.compile(r"\\(?P<quoted>.)|(?P<wild>[*?])|(?P<letter>.)", re.DOTALL)
_NAME = re.compile(r"[!-9;-~]{1,77}\Z")
_COUNT = re.compile(r"(?P<sign>[<=>])[ \t]*(?P<number>\d{1,6})\Z")
# Without them a loop is not seen, and where the mail came from is not known.
_PROTECTED = ("received", "return-path")


_Words = TypeVar("_Words", bound=StrEnum)


class HeaderRuleError(ValueError):
    """A line that cannot be understood; the message names it."""


class How(StrEnum):
    CONTAINS = "contains"
    IS = "is"
    MATCHES = "matches"
    REGEX = "regex"
    MISSING = "missing"
    COUNT = "count"


class Act(StrEnum):
    REFUSE = "refuse"
    HOLD = "hold"
    DISCARD = "discard"
    ADD = "add"
    REMOVE = "remove"
    PASS = "pass"

    @property
    def goes_on(self) -> bool:
        return self in (Act.ADD, Act.REMOVE)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line. `field` is in lower case; `argument` is a text, "FIELD: VALUE" or a field."""

    line: int
    negated: bool
    field: str
    how: How
    value: str
    act: Act
    argument: str
    pattern: Any = None

    def __str__(self) -> str:
        words = ("not" if self.negated else "", self.field.title(), self.how.value, self.value)
        return f"line {self.line}: {' '.join(word for word in words if word)}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`act` is what ends the rules, None when they went to their end; `rule` is who said so.
    `changed` are the rules that changed `content`, which is None when none did."""

    act: Act | None
    rule: Rule | None = None
    changed: tuple[Rule, ...] = ()
    content: bytes | None = None


@lru_cache(maxsize=64)
def parse(text: str) -> tuple[Rule, ...]:
    """Raises HeaderRuleError."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            try:
                rules.append(_rule(number, stripped))
            except ValueError as error:
                raise HeaderRuleError(f"line {number}: {error}") from error
    if len(rules) > MAX_RULES:
        raise HeaderRuleError(f"more than {MAX_RULES} rules")
    return tuple(rules)


def apply(content: bytes, rules: Sequence[Rule]) -> Outcome:
    """What the rules say of a message, the changes of earlier ones included."""
    header = _Header(content)
    changed: list[Rule] = []
    for rule in rules:
        if not header.holds(rule):
            continue
        if not rule.act.goes_on:
            return Outcome(rule.act, rule, tuple(changed), header.content if changed else None)
        if header.change(rule):
            changed.append(rule)
    return Outcome(None, None, tuple(changed), header.content if changed else None)


class _Header:
    """The fields of a message as they are now."""

    def __init__(self, content: bytes) -> None:
        section, self._body = cut(content)
        self._fields = split(section)

    @property
    def content(self) -> bytes:
        return b"".join(field.raw for field in self._fields) + self._body

    def holds(self, rule: Rule) -> bool:
        found = [field for field in self._fields if field.name == rule.field]
        return self._answer(rule, found) is not rule.negated

    def change(self, rule: Rule) -> bool:
        """Whether anything is other than before."""
        if rule.act is Act.REMOVE:
            kept = [field for field in self._fields if field.name != rule.argument.lower()]
            removed = len(kept) < len(self._fields)
            self._fields = kept
            return removed
        name, _, value = rule.argument.partition(":")
        self._fields.append(Field(name.lower(), _folded(name, value.strip())))
        return True

    def _answer(self, rule: Rule, found: Sequence[Field]) -> bool:
        if rule.how is How.MISSING:
            return not found
        if rule.how is How.COUNT:
            return _counts(rule, len(found))
        return any(_compares(rule, _value(field)) for field in found)


def _counts(rule: Rule, fields: int) -> bool:
    sign, number = rule.value[0], int(rule.value[1:])
    if sign == "=":
        return fields == number
    return fields < number if sign == "<" else fields > number


def _compares(rule: Rule, value: str) -> bool:
    if rule.pattern is not None:
        return rule.pattern.search(value) is not None
    folded, wanted = value.casefold(), rule.value.casefold()
    return wanted in folded if rule.how is How.CONTAINS else folded == wanted


def _value(field: Field) -> str:
    return decoded_words(field.value[:_MAX_VALUE].decode("utf-8", "replace"))


def _rule(number: int, line: str) -> Rule:
    """Raises ValueError."""
    if len(line) > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE} letters")
    whole = _LINE.match(line)
    if whole is None:
        raise ValueError("FIELD TEST VALUE -> ACTION is expected")
    test = _TEST.match(whole["test"].strip())
    if test is None or not _NAME.match(test["field"]):
        raise ValueError(f"{whole['test']!r} is no test of a header field")
    how = _word(How, test["how"], "test")
    value = _checked_value(how, (test["value"] or "").strip())
    act = _word(Act, whole["action"], "action")
    argument = _checked_argument(act, (whole["argument"] or "").strip())
    field = test["field"].lower()
    negated = test["negated"] is not None
    return Rule(number, negated, field, how, value, act, argument, _pattern(how, value))


def _word(words: type[_Words], word: str, what: str) -> _Words:
    try:
        return words(word)
    except ValueError:
        known = ", ".join(each.value for each in words)
        raise ValueError(f"{word!r} is no {what}: {known}") from None


def _checked_value(how: How, value: str) -> str:
    if how is How.MISSING:
        if value:
            raise ValueError("missing takes no value")
        return ""
    if not value:
        raise ValueError(f"{how.value} needs a value")
    if how is How.COUNT:
        match = _COUNT.match(value)
        if match is None:
            raise ValueError("count needs <, = or > and a number")
        return match["sign"] + match["number"]
    return value


def _checked_argument(act: Act, argument: str) -> str:
    if act in (Act.HOLD, Act.DISCARD, Act.PASS) and argument:
        raise ValueError(f"{act.value} takes no argument")
    if not act.goes_on:
        return argument
    name = argument.partition(":")[0].strip() if act is Act.ADD else argument.rstrip(":")
    if not _NAME.match(name) or (act is Act.ADD and ":" not in argument):
        raise ValueError("add needs FIELD: VALUE, and remove FIELD")
    if name.lower() in _PROTECTED:
        raise ValueError(f"{name} belongs to the mail system")
    return argument if act is Act.ADD else name


def _pattern(how: How, value: str) -> Any:
    """What is compiled once; None for tests that need no pattern. Raises ValueError."""
    if how not in (How.REGEX, How.MATCHES):
        return None
    options = re2.Options()
    options.max_mem = _REGEX_MEMORY
    options.log_errors = False
    options.case_sensitive = how is How.REGEX
    options.dot_nl = True
    try:
        return re2.compile(value if how is How.REGEX else _translated(value), options)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        raise ValueError(f"the regular expression is wrong: {shown}") from error


def _translated(glob: str) -> str:
    """A pattern with * and ? as a regular expression; a backslash quotes the next letter."""
    pieces = []
    for match in _WILDCARD.finditer(glob):
        wild = match["wild"]
        letter = match["quoted"] or match["letter"]
        pieces.append({"*": ".*", "?": "."}[wild] if wild else re2.escape(letter))
    return rf"\A{''.join(pieces)}\z"


def _folded(name: str, value: str) -> bytes:
    """A header field for the wire: encoded words where it must be, lines that are short enough."""
    if value.isascii():
        header = Header(value, header_name=name, maxlinelen=78)
    else:
        header = Header(value, "utf-8", header_name=name, maxlinelen=76)
    return f"{name}: {header.encode(linesep=chr(13) + chr(10))}\r\n".encode("ascii", "replace")
