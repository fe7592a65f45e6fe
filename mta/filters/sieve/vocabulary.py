"""Every command and test there is, and what each may be given.

RFC 5228 sections 2.6, 3 to 5, and of each extension the section on its syntax. `compiling` checks
scripts against these tables, `evaluate` has the functions that carry them out.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

# comparator-i;octet and comparator-i;ascii-casemap are always there (RFC 5228, section 2.7.3).
ALWAYS = frozenset(("comparator-i;octet", "comparator-i;ascii-casemap"))

# They say how strings are read, so `ihave` comes too late for them (RFC 5463, section 4).
READ_BEFORE = frozenset(("encoded-character", "variables"))

EXTENSIONS = (
    *("fileinto", "reject", "ereject", "envelope", "encoded-character"),
    *("comparator-i;octet", "comparator-i;ascii-casemap", "comparator-i;ascii-numeric"),
    *("body", "copy", "relational", "variables", "date", "index", "regex", "subaddress"),
    *("imap4flags", "mailbox", "vacation", "vacation-seconds", "editheader", "environment"),
    *("duplicate", "ihave", "include", "enotify"),
)


def capabilities() -> tuple[str, ...]:
    """What may stand in `require`, always in the same order (RFC 5804, section 1.7: SIEVE)."""
    return EXTENSIONS


class Kind(enum.Enum):
    """What stands in one place; the value says so in an error."""

    NUMBER = "a number"
    STRING = "a string"
    STRINGS = "a string or a list of strings"


class Tests(enum.Enum):
    NONE = "no test"
    ONE = "exactly one test"
    SEVERAL = "tests in parentheses"


@dataclass(frozen=True, slots=True)
class OptionShape:
    """A tag. Of each group one may be given; `kind` is what follows it, None for nothing."""

    group: str
    kind: Kind | None = None
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """`may_begin_late`, `may_end_early`: the first, the last argument may be left out. `compares`:
    the last argument is a list of keys. One of `extensions` must be required, if there are any."""

    arguments: tuple[Kind, ...] = ()
    options: Mapping[str, OptionShape] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    may_begin_late: bool = False
    may_end_early: bool = False
    compares: bool = False
    tests: Tests = Tests.NONE


_NOTHING: Mapping[str, OptionShape] = {}
_MATCH = {
    "is": OptionShape("match type"),
    "contains": OptionShape("match type"),
    "matches": OptionShape("match type"),
    "regex": OptionShape("match type", None, "regex"),
    "count": OptionShape("match type", Kind.STRING, "relational"),
    "value": OptionShape("match type", Kind.STRING, "relational"),
    "comparator": OptionShape("comparator", Kind.STRING),
}
_PART = {
    "all": OptionShape("address part"),
    "localpart": OptionShape("address part"),
    "domain": OptionShape("address part"),
    "user": OptionShape("address part", None, "subaddress"),
    "detail": OptionShape("address part", None, "subaddress"),
}
_INDEX = {
    "index": OptionShape("index", Kind.NUMBER, "index"),
    "last": OptionShape("last", None, "index"),
}
_ZONE = {
    "zone": OptionShape("zone", Kind.STRING),
    "originalzone": OptionShape("zone"),
}
_FLAGS = {"flags": OptionShape("flags", Kind.STRINGS, "imap4flags")}
_COPY = {"copy": OptionShape("copy", None, "copy")}
_FLAG_COMMAND = Shape((Kind.STRING, Kind.STRINGS), _NOTHING, ("imap4flags",), may_begin_late=True)

_VACATION = {
    "days": OptionShape("period", Kind.NUMBER),
    "seconds": OptionShape("period", Kind.NUMBER, "vacation-seconds"),
    "subject": OptionShape("subject", Kind.STRING),
    "from": OptionShape("from", Kind.STRING),
    "addresses": OptionShape("addresses", Kind.STRINGS),
    "mime": OptionShape("mime"),
    "handle": OptionShape("handle", Kind.STRING),
}
_NOTIFY = {
    "from": OptionShape("from", Kind.STRING),
    "importance": OptionShape("importance", Kind.STRING),
    "options": OptionShape("options", Kind.STRINGS),
    "message": OptionShape("message", Kind.STRING),
}
_MODIFIERS = {
    "lower": OptionShape("case of the text"),
    "upper": OptionShape("case of the text"),
    "lowerfirst": OptionShape("case of the first letter"),
    "upperfirst": OptionShape("case of the first letter"),
    "quotewildcard": OptionShape("quoting"),
    "quoteregex": OptionShape("quoting", None, "regex"),
    "encodeurl": OptionShape("encoding", None, "enotify"),
    "length": OptionShape("length"),
}
_INCLUDE = {
    "personal": OptionShape("location"),
    "global": OptionShape("location"),
    "once": OptionShape("once"),
    "optional": OptionShape("optional"),
}
_DUPLICATE = {
    "handle": OptionShape("handle", Kind.STRING),
    "header": OptionShape("identity", Kind.STRING),
    "uniqueid": OptionShape("identity", Kind.STRING),
    "seconds": OptionShape("seconds", Kind.NUMBER),
    "last": OptionShape("last"),
}
_BODY = {
    "raw": OptionShape("transform"),
    "content": OptionShape("transform", Kind.STRINGS),
    "text": OptionShape("transform"),
}
_NUMBERED = {"index": OptionShape("index", Kind.NUMBER), "last": OptionShape("last")}

COMMANDS: Mapping[str, Shape] = {
    "keep": Shape((), _FLAGS),
    "discard": Shape(),
    "stop": Shape(),
    "fileinto": Shape(
        (Kind.STRING,),
        {**_COPY, **_FLAGS, "create": OptionShape("create", None, "mailbox")},
        ("fileinto",),
    ),
    "redirect": Shape((Kind.STRING,), _COPY),
    "reject": Shape((Kind.STRING,), _NOTHING, ("reject",)),
    "ereject": Shape((Kind.STRING,), _NOTHING, ("ereject",)),
    "set": Shape((Kind.STRING, Kind.STRING), _MODIFIERS, ("variables",)),
    "setflag": _FLAG_COMMAND,
    "addflag": _FLAG_COMMAND,
    "removeflag": _FLAG_COMMAND,
    "vacation": Shape((Kind.STRING,), _VACATION, ("vacation", "vacation-seconds")),
    "notify": Shape((Kind.STRING,), _NOTIFY, ("enotify",)),
    "addheader": Shape((Kind.STRING, Kind.STRING), {"last": OptionShape("last")}, ("editheader",)),
    "deleteheader": Shape(
        (Kind.STRING, Kind.STRINGS),
        {**_NUMBERED, **_MATCH},
        ("editheader",),
        may_end_early=True,
        compares=True,
    ),
    "include": Shape((Kind.STRING,), _INCLUDE, ("include",)),
    "return": Shape((), _NOTHING, ("include",)),
    "global": Shape((Kind.STRINGS,), _NOTHING, ("include",)),
    "error": Shape((Kind.STRING,), _NOTHING, ("ihave",)),
}

_NAMES_AND_KEYS = (Kind.STRINGS, Kind.STRINGS)

TESTS: Mapping[str, Shape] = {
    "true": Shape(),
    "false": Shape(),
    "not": Shape(tests=Tests.ONE),
    "allof": Shape(tests=Tests.SEVERAL),
    "anyof": Shape(tests=Tests.SEVERAL),
    "exists": Shape((Kind.STRINGS,)),
    "size": Shape(
        (), {"over": OptionShape("size", Kind.NUMBER), "under": OptionShape("size", Kind.NUMBER)}
    ),
    "header": Shape(_NAMES_AND_KEYS, {**_MATCH, **_INDEX}, compares=True),
    "address": Shape(_NAMES_AND_KEYS, {**_MATCH, **_PART, **_INDEX}, compares=True),
    "envelope": Shape(_NAMES_AND_KEYS, {**_MATCH, **_PART}, ("envelope",), compares=True),
    "body": Shape((Kind.STRINGS,), {**_MATCH, **_BODY}, ("body",), compares=True),
    "string": Shape(_NAMES_AND_KEYS, _MATCH, ("variables",), compares=True),
    "date": Shape(
        (Kind.STRING, Kind.STRING, Kind.STRINGS),
        {**_MATCH, **_INDEX, **_ZONE},
        ("date",),
        compares=True,
    ),
    "currentdate": Shape(
        (Kind.STRING, Kind.STRINGS), {**_MATCH, "zone": _ZONE["zone"]}, ("date",), compares=True
    ),
    "hasflag": Shape(_NAMES_AND_KEYS, _MATCH, ("imap4flags",), may_begin_late=True, compares=True),
    "mailboxexists": Shape((Kind.STRINGS,), _NOTHING, ("mailbox",)),
    "environment": Shape((Kind.STRING, Kind.STRINGS), _MATCH, ("environment",), compares=True),
    "duplicate": Shape((), _DUPLICATE, ("duplicate",)),
    "ihave": Shape((Kind.STRINGS,), _NOTHING, ("ihave",)),
    "valid_notify_method": Shape((Kind.STRINGS,), _NOTHING, ("enotify",)),
    "notify_method_capability": Shape(
        (Kind.STRING, Kind.STRING, Kind.STRINGS), _MATCH, ("enotify",), compares=True
    ),
}
