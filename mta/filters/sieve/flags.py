"""Flags (RFC 5232): setflag, addflag, removeflag, hasflag, and `:flags` of keep and fileinto."""

import re
from collections.abc import Iterable

from mta.filters.sieve.matching import Key, Match
from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Do, Run, Test, shown

# A keyword or a system flag of IMAP (RFC 3501, section 9: flag). What is none is left out.
_FLAG = re.compile(r'\\?[^\x00-\x20(){%*"\\\]\x7f-\U0010ffff]{1,64}\Z')
_NOT_SETTABLE = ("\\recent",)
_MAX_FLAGS = 32


def flag_list(texts: Iterable[str]) -> tuple[str, ...]:
    """Section 2: a string may hold several flags; each counts once, in any case."""
    found: dict[str, str] = {}
    for each in (flag for text in texts for flag in text.split()):
        if _FLAG.match(each) and each.lower() not in _NOT_SETTABLE and len(found) < _MAX_FLAGS:
            found.setdefault(each.lower(), each)
    return tuple(found.values())


def asked(run: Run, call: Call) -> tuple[str, ...]:
    """The flags of an action: those behind `:flags`, else those of the internal variable."""
    if call.has("flags"):
        return flag_list(run.texts(call.option_texts("flags")))
    return run.flags


def change(run: Run, call: Call) -> None:
    name = run.argument(call, 0).lower() if len(call.arguments) == 2 else ""
    given = flag_list(run.texts(call.texts(-1)))
    before = _read(run, name)
    if call.name == "setflag":
        after = given
    elif call.name == "addflag":
        after = flag_list((*before, *given))
    else:
        removed = {each.lower() for each in given}
        after = tuple(each for each in before if each.lower() not in removed)
    _write(run, name, after, call.at.line)
    run.note(call, f"{call.name} {' '.join(given)}: now {' '.join(after) or 'none'}")


def hasflag(run: Run, call: Call) -> bool:
    names = run.texts(call.texts(0)) if len(call.arguments) == 2 else [""]
    values = flag_list(each for name in names for each in _read(run, name.lower()))
    said = "flags" if names == [""] else f"flags in {shown(names)}"
    return run.compare(call, values, said, keys=_keys(run, call))


def _keys(run: Run, call: Call) -> list[Key]:
    """Section 4: "b A" asks for two flags; a pattern or a number stays what it is."""
    comparison, keys = call.comparison, run.keys(call)
    if comparison is None or comparison.match not in (Match.IS, Match.CONTAINS):
        return keys
    return [comparison.key(flag) for key in keys for flag in key.text.split() or [""]]


def _read(run: Run, name: str) -> tuple[str, ...]:
    return flag_list([run.variable(name)]) if name else run.flags


def _write(run: Run, name: str, value: tuple[str, ...], line: int) -> None:
    if name:
        run.set_variable(name, " ".join(value), line)
    else:
        run.flags = value


COMMANDS: dict[str, Do] = {"setflag": change, "addflag": change, "removeflag": change}
TESTS: dict[str, Test] = {"hasflag": hasflag}
