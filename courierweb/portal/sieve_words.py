"""How single tests and actions of a rule are written in Sieve, and read from it.

Reading is a guess that `rules` checks: what it gives, written again, must mean what was read.
"""

import re
from collections.abc import Callable, Iterable

from courierweb.portal.rule import Action, Condition, Do, Field, How
from mta.filters.sieve.syntax import Node, Tag

_HEADERS = {
    Field.FROM: ("from",),
    Field.TO: ("to", "cc"),
    Field.SUBJECT: ("subject",),
    Field.LIST: ("list-id",),
}
_FIELDS = {names: field for field, names in _HEADERS.items()}
_SPAM = ("x-spam-flag",), ("YES",)
_ATTACHED = "Content-Disposition: attachment"
# What a MIME part says of its file, as far as one line has it (RFC 2183, RFC 2231).
_FILE_NAME = r'name\*?[0-9]*\*?="?[^";]*'
_SPECIAL = re.compile(r"([\\.^$*+?{}\[\]|()])")
_CLOCK = {Field.DATE: "date", Field.TIME: "time"}
_WAYS = {How.SINCE: "ge", How.UNTIL: "le"}
_FLAGS = {Do.FLAG: "\\Flagged", Do.READ: "\\Seen"}
TRASH = "Trash"


def string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def strings(texts: Iterable[str]) -> str:
    texts = tuple(texts)
    return string(texts[0]) if len(texts) == 1 else f"[{', '.join(map(string, texts))}]"


def size_text(octets: int) -> str:
    """As Sieve writes a number: "10M" """
    for letter, scale in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if octets and octets % scale == 0:
            return f"{octets // scale}{letter}"
    return str(octets)


def write_test(test: Condition) -> str:
    return f"not {_positive(test)}" if test.negated else _positive(test)


def _positive(test: Condition) -> str:
    how, values = test.how.value, test.values
    match test.field:
        case Field.FROM | Field.TO if test.how is not How.CONTAINS:
            return f"address :{how} {strings(_HEADERS[test.field])} {strings(values)}"
        case Field.HEADER | Field.LIST if test.how is How.EXISTS:
            return f"exists {string(test.header or 'list-id')}"
        case Field.HEADER:
            return f"header :{how} {string(test.header)} {strings(values)}"
        case Field.FROM | Field.TO | Field.SUBJECT | Field.LIST:
            return f"header :{how} {strings(_HEADERS[test.field])} {strings(values)}"
        case Field.SPAM:
            return f"header :contains {strings(_SPAM[0])} {strings(_SPAM[1])}"
        case Field.SIZE:
            return f"size :{how} {values[0]}"
        case Field.ATTACHED:
            return f"body :raw :contains {string(_ATTACHED)}"
        case Field.ATTACHMENT_TYPE:
            return f'body :content {strings(values)} :contains ""'
        case Field.ATTACHMENT_NAME:
            return f"body :raw :regex {strings(_FILE_NAME + _quoted(each) for each in values)}"
        case Field.BODY:
            return f"body :text :contains {strings(values)}"
        case Field.RECIPIENT:
            return f'envelope :{how} "to" {strings(values)}'
        case Field.TAG:
            return f'envelope :{how} :detail "to" {strings(values)}'
        case Field.WEEKDAY:
            return f'currentdate :is "weekday" {strings(values)}'
    return f'currentdate :value "{_WAYS[test.how]}" "{_CLOCK[test.field]}" {strings(values)}'


def read_test(node: Node) -> Condition | None:
    """None for what no field of a rule stands for."""
    if node.name == "not":
        inner = read_test(node.tests[0]) if len(node.tests) == 1 else None
        return inner and Condition(
            inner.field, inner.how, inner.values, inner.header, not inner.negated
        )
    reader = _READERS.get(node.name)
    tags = tuple(each.name for each in node.arguments if isinstance(each, Tag))
    others = [each for each in node.arguments if not isinstance(each, Tag)]
    return reader(tags, others) if reader else None


def _read_header(tags: tuple[str, ...], others: list[object]) -> Condition | None:
    match tags, others:
        case ("contains" | "is" | "matches" as how,), [tuple(names), tuple(keys)]:
            if (how, names, keys) == ("contains", *_SPAM):
                return Condition(Field.SPAM, How.EXISTS)
            field = _FIELDS.get(names)
            if field is not None:
                return Condition(field, How(how), keys)
            return Condition(Field.HEADER, How(how), keys, names[0]) if len(names) == 1 else None
    return None


def _read_address(tags: tuple[str, ...], others: list[object]) -> Condition | None:
    match tags, others:
        case ("is" | "matches" as how,), [tuple(names), tuple(keys)] if names in _FIELDS:
            return Condition(_FIELDS[names], How(how), keys)
    return None


def _read_exists(tags: tuple[str, ...], others: list[object]) -> Condition | None:
    match others:
        case [("list-id",)]:
            return Condition(Field.LIST, How.EXISTS)
        case [(str() as name,)]:
            return Condition(Field.HEADER, How.EXISTS, (), name)
    return None


def _read_size(tags: tuple[str, ...], others: list[object]) -> Condition | None:
    match tags, others:
        case ("over" | "under" as how,), [int(octets)]:
            return Condition(Field.SIZE, How(how), (size_text(octets),))
    return None


def _read_body(tags: tuple[str, ...], others: list[object]) -> Condition | None:
    match tags, others:
        case ("text", "contains"), [tuple(keys)]:
            return Condition(Field.BODY, How.CONTAINS, keys)
        case ("raw", "contains"), [(text,)] if text == _ATTACHED:
            return Condition(Field.ATTACHED, How.EXISTS)
        case ("content", "contains"), [tuple(types), ("",)]:
            return Condition(Field.ATTACHMENT_TYPE, How.IS, types)
        case ("raw", "regex"), [tuple(keys)]:
            names = tuple(_unquoted(each.removeprefix(_FILE_NAME)) for each in keys)
            return Condition(Field.ATTACHMENT_NAME, How.CONTAINS, names)
    return None


def _read_envelope(tags: tuple[str, ...], others: list[object]) -> Condition | None:
    match tags, others:
        case ("contains" | "is" | "matches" as how, *more), [("to",), tuple(keys)]:
            return Condition(Field.TAG if more else Field.RECIPIENT, How(how), keys)
    return None


def _read_clock(tags: tuple[str, ...], others: list[object]) -> Condition | None:
    match tags, others:
        case ("is",), [("weekday",), tuple(days)]:
            return Condition(Field.WEEKDAY, How.IS, days)
        case ("value",), [("ge" | "le" as way,), ("date" | "time" as part,), (value,)]:
            how = How.SINCE if way == "ge" else How.UNTIL
            return Condition(Field.DATE if part == "date" else Field.TIME, how, (value,))
    return None


_READERS: dict[str, Callable[[tuple[str, ...], list[object]], Condition | None]] = {
    "header": _read_header,
    "address": _read_address,
    "exists": _read_exists,
    "size": _read_size,
    "body": _read_body,
    "envelope": _read_envelope,
    "currentdate": _read_clock,
}


def write_action(action: Action) -> str:
    value = string(action.value)
    match action.do:
        case Do.FILE:
            return f"fileinto :create {value};"
        case Do.TRASH:
            return f"fileinto :create {string(TRASH)};"
        case Do.COPY:
            return f"fileinto :copy :create {value};"
        case Do.FORWARD:
            return f"redirect :copy {value};"
        case Do.REDIRECT:
            return f"redirect {value};"
        case Do.FLAG | Do.READ:
            return f"addflag {string(_FLAGS[action.do])};"
        case Do.LABEL:
            return f"addflag {value};"
        case Do.REFUSE:
            return f"ereject {value};"
    return f"{action.do.value};"


def read_action(node: Node) -> Action | None:
    """None for what is no action of a rule."""
    if node.tests or node.block is not None:
        return None
    if not node.arguments:
        known = {"discard": Do.DISCARD, "keep": Do.KEEP, "stop": Do.STOP}.get(node.name)
        return Action(known) if known else None
    tags = {each.name for each in node.arguments if isinstance(each, Tag)}
    match node.name, [each for each in node.arguments if not isinstance(each, Tag)]:
        case "fileinto", [(folder,)]:
            if "copy" in tags:
                return Action(Do.COPY, folder)
            return Action(Do.TRASH) if folder == TRASH else Action(Do.FILE, folder)
        case "redirect", [(address,)]:
            return Action(Do.FORWARD if "copy" in tags else Do.REDIRECT, address)
        case "addflag", [(flag,)]:
            known = {value: do for do, value in _FLAGS.items()}.get(flag)
            return Action(known) if known else Action(Do.LABEL, flag)
        case "ereject" | "reject", [(text,)]:
            return Action(Do.REFUSE, text)
    return None


def test_needs(test: Condition) -> set[str]:
    """The extensions that a test takes."""
    match test.field:
        case Field.ATTACHED | Field.ATTACHMENT_TYPE | Field.BODY:
            return {"body"}
        case Field.ATTACHMENT_NAME:
            return {"body", "regex"}
        case Field.RECIPIENT:
            return {"envelope"}
        case Field.TAG:
            return {"envelope", "subaddress"}
        case Field.WEEKDAY:
            return {"date"}
        case Field.DATE | Field.TIME:
            return {"date", "relational"}
    return set()


_ACTION_NEEDS = {
    Do.FILE: {"fileinto", "mailbox"},
    Do.TRASH: {"fileinto", "mailbox"},
    Do.COPY: {"fileinto", "mailbox", "copy"},
    Do.FORWARD: {"copy"},
    Do.FLAG: {"imap4flags"},
    Do.READ: {"imap4flags"},
    Do.LABEL: {"imap4flags"},
    Do.REFUSE: {"ereject"},
}


def action_needs(action: Action) -> set[str]:
    return _ACTION_NEEDS.get(action.do, set())


def _quoted(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _unquoted(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern)
