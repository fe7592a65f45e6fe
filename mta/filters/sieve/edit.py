"""addheader and deleteheader (RFC 5293).

Tests that follow see the message as it was edited. Fields that tell how the message came, or that
break loops, are left alone (section 6).
"""

import re
from email.header import Header

from mta.filters.sieve.encoded_words import readable
from mta.filters.sieve.matching import Comparison, Match
from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Do, Over, Run, shown
from mta.protocol.header_fields import Field

NAME = re.compile(r"[!-9;-~]{1,76}\Z")
PROTECTED = frozenset(("received", "auto-submitted", "return-path", "delivered-to"))
_MAX_VALUE = 2_000


def addheader(run: Run, call: Call) -> None:
    name, value = run.argument(call, 0), run.argument(call, 1)
    if not NAME.match(name):
        raise Over(f"line {call.at.line}: {shown([name])} is no name of a header field")
    if _is_protected(run, call, name):
        return
    _count(run, call)
    field = Field(name.lower(), _line(name, value))
    fields = run.message.fields
    edited = (*fields, field) if call.has("last") else (field, *fields)
    run.message = run.message.edited(edited)
    run.note(call, f"addheader {name}: {shown([value])}")


def deleteheader(run: Run, call: Call) -> None:
    name = run.argument(call, 0)
    if _is_protected(run, call, name):
        return
    _count(run, call)
    of_name = [at for at, each in enumerate(run.message.fields) if each.name == name.lower()]
    doomed = {at for at in _picked(call, of_name) if _matches(run, call, run.message.fields[at])}
    if doomed:
        kept = (each for at, each in enumerate(run.message.fields) if at not in doomed)
        run.message = run.message.edited(kept)
    run.note(call, f"deleteheader {name}: {len(doomed)} of {len(of_name)} deleted")


def _picked(call: Call, places: list[int]) -> list[int]:
    """Section 5: `:index` counts the fields of that name, with `:last` from the end."""
    if not call.has("index"):
        return places
    number = call.option_number("index", 0)
    if not 0 < number <= len(places):
        return []
    return [places[-number] if call.has("last") else places[number - 1]]


def _matches(run: Run, call: Call, field: Field) -> bool:
    """Without patterns, every field; `:count` says nothing about one field."""
    if len(call.arguments) < 2:
        return True
    comparison = call.comparison or Comparison()
    value = readable(field.raw.partition(b":")[2])
    if comparison.match is Match.COUNT:
        value = "1"
    folded = comparison.fold(value)
    run.spend(call.at.line)
    keys = run.keys(call)
    return any(run.spans(call, value, folded, key) is not None for key in keys)


def _is_protected(run: Run, call: Call, name: str) -> bool:
    if name.lower() not in PROTECTED:
        return False
    run.note(call, f"{call.name} {name}: this field is protected, nothing is changed")
    return True


def _count(run: Run, call: Call) -> None:
    run.edits += 1
    if run.edits > run.budget.edits:
        raise Over(f"line {call.at.line}: more than {run.budget.edits} changes of the header")


def _line(name: str, value: str) -> bytes:
    """The field on the wire, folded and encoded (RFC 2047). It cannot end its own line."""
    text = "".join(each if each.isprintable() else " " for each in value[:_MAX_VALUE]).strip()
    charset = None if text.isascii() else "utf-8"
    folded = Header(text, charset, header_name=name).encode(linesep="\r\n")
    return f"{name}: {folded}\r\n".encode("ascii", "replace")


COMMANDS: dict[str, Do] = {"addheader": addheader, "deleteheader": deleteheader}
