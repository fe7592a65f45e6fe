"""Variables (RFC 5229): set with its modifiers, and the test `string`."""

import re
from collections.abc import Callable
from urllib.parse import quote

from mta.filters.sieve.program import Call
from mta.filters.sieve.run import Do, Run, Test, shown


def _first(text: str, change: str) -> str:
    head = text[:1].upper() if change == "upperfirst" else text[:1].lower()
    return head + text[1:]


# In the order in which they are applied (section 4.1): from the highest precedence to the lowest,
# the encoding for URLs (RFC 5435, section 6) before the length.
_GROUPS = ("case of the text", "case of the first letter", "quoting", "encoding", "length")
_MODIFIERS: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "lowerfirst": lambda text: _first(text, "lowerfirst"),
    "upperfirst": lambda text: _first(text, "upperfirst"),
    "quotewildcard": lambda text: re.sub(r"([*?\\])", r"\\\1", text),
    "quoteregex": lambda text: re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", text),
    "encodeurl": lambda text: quote(text, safe="-._~"),
    "length": lambda text: str(len(text)),
}


def assign(run: Run, call: Call) -> None:
    name = run.argument(call, 0).lower()
    value = run.argument(call, 1)
    for group in _GROUPS:
        if modifier := call.option(group):
            value = _MODIFIERS[modifier](value[: run.budget.variable_size])
    run.set_variable(name, value, call.at.line)
    run.note(call, f"set {name} to {shown([value])}")


def string(run: Run, call: Call) -> bool:
    values = run.texts(call.texts(0))
    if call.comparison and call.option("match type") == "count":
        # RFC 5231, section 5 with RFC 5229, section 5: empty strings are not counted.
        values = [each for each in values if each]
    return run.compare(call, values, "string")


COMMANDS: dict[str, Do] = {"set": assign}
TESTS: dict[str, Test] = {"string": string}
