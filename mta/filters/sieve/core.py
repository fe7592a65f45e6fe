"""The tests and actions of RFC 5228 itself, reject (RFC 5429), and `error` (RFC 5463)."""

from typing import TypeVar

from mta.filters.sieve import actions, addresses, flags
from mta.filters.sieve.folders import folder_problem
from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Do, Over, Run, Stopped, Test, shown
from mta.protocol.address import AddressError

_Item = TypeVar("_Item")


def constant(run: Run, call: Call) -> bool:
    return call.name == "true"


def negated(run: Run, call: Call) -> bool:
    return not run.holds(call.tests[0])


def every(run: Run, call: Call) -> bool:
    return all(run.holds(each) for each in call.tests)


def some(run: Run, call: Call) -> bool:
    return any(run.holds(each) for each in call.tests)


def exists(run: Run, call: Call) -> bool:
    names = run.texts(call.texts(0))
    missing = [each for each in names if not run.message.has(each)]
    if missing:
        return run.note(call, f"there is no header field {', '.join(missing)}", False)
    return run.note(call, f"there is a header field {' and '.join(names)}", True)


def size(run: Run, call: Call) -> bool:
    octets, limit = len(run.original.content), call.option_number("size", 0)
    way = call.option("size")
    matched = octets > limit if way == "over" else octets < limit
    word = "is" if matched else "is not"
    return run.note(call, f"the size of {octets} octets {word} {way} {limit}", matched)


def header(run: Run, call: Call) -> bool:
    names = run.texts(call.texts(0))
    values = [each for name in names for each in indexed(call, run.message.header(name))]
    return run.compare(call, values, f"header {', '.join(names)}")


def address(run: Run, call: Call) -> bool:
    names = run.texts(call.texts(0))
    found = []
    for name in names:
        run.spend(call.at.line)
        for listed in indexed(call, run.message.addresses(name)):
            found += listed
    return run.compare(call, _parts(run, call, found), f"address {', '.join(names)}{_of(call)}")


def envelope(run: Run, call: Call) -> bool:
    names = run.texts(call.texts(0))
    # A part that is not known has no value (RFC 5228, section 5.4).
    found = [run.message.envelope.get(each.lower()) for each in names]
    values = _parts(run, call, [each for each in found if each is not None])
    return run.compare(call, values, f"envelope {', '.join(names)}{_of(call)}")


def _parts(run: Run, call: Call, found: list[str]) -> list[str]:
    part, separators = call.option("address part"), run.surroundings.separators
    parts = (addresses.part_of(each, part, separators) for each in found)
    return [each for each in parts if each is not None]


def _of(call: Call) -> str:
    part = call.option("address part")
    return f" ({part})" if part and part != "all" else ""


def indexed(call: Call, values: list[_Item]) -> list[_Item]:
    """The field that `:index` picks (RFC 5260, section 6), all without it."""
    if not call.has("index"):
        return values
    number = call.option_number("index", 0)
    if not 0 < number <= len(values):
        return []
    return [values[-number] if call.has("last") else values[number - 1]]


def keep(run: Run, call: Call) -> None:
    run.note(call, "keep")
    run.act(actions.Keep(flags.asked(run, call), call.at.line))


def discard(run: Run, call: Call) -> None:
    run.note(call, "discard")
    run.act(actions.Discard(call.at.line))


def stop(run: Run, call: Call) -> None:
    run.note(call, "stop")
    raise Stopped


def fileinto(run: Run, call: Call) -> None:
    folder = run.argument(call, 0)
    run.note(call, f"fileinto {folder}")
    if problem := folder_problem(folder):
        raise Over(f"line {call.at.line}: {problem}")
    asked, create = flags.asked(run, call), call.has("create")
    run.act(actions.FileInto(folder, asked, create, call.at.line), copy=call.has("copy"))


def redirect(run: Run, call: Call) -> None:
    target = run.argument(call, 0)
    run.note(call, f"redirect {target}")
    try:
        target = addresses.one(target)
    except AddressError as error:
        raise Over(f"line {call.at.line}: {shown([target])} is no address: {error}") from error
    run.act(actions.Redirect(target, call.at.line), copy=call.has("copy"))


def reject(run: Run, call: Call) -> None:
    text = run.argument(call, 0)
    run.note(call, f"{call.name} {text}")
    run.act(actions.Reject(text, call.name == "ereject", call.at.line))


def error(run: Run, call: Call) -> None:
    raise Over(f"line {call.at.line}: {run.argument(call, 0)[:1000]}")


TESTS: dict[str, Test] = {
    "true": constant,
    "false": constant,
    "not": negated,
    "allof": every,
    "anyof": some,
    "exists": exists,
    "size": size,
    "header": header,
    "address": address,
    "envelope": envelope,
}
COMMANDS: dict[str, Do] = {
    "keep": keep,
    "discard": discard,
    "stop": stop,
    "fileinto": fileinto,
    "redirect": redirect,
    "reject": reject,
    "ereject": reject,
    "error": error,
}
