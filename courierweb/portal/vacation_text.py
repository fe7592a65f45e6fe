"""The vacation block of a script: written from a form, read back (RFC 5230, RFC 5260)."""

from courierweb.portal import sieve_words
from courierweb.portal.rule import Condition, Field, How, Vacation
from mta.filters.sieve.syntax import Node, Tag

MARK = "# vacation\n"


def write(vacation: Vacation) -> str:
    command = _command(vacation)
    tests = [sieve_words.write_test(each) for each in _bounds(vacation)]
    if tests:
        condition = tests[0] if len(tests) == 1 else f"allof ({', '.join(tests)})"
        command = f"if {condition} {{\n{command}}}\n"
    if not vacation.enabled:
        command = f"if false {{\n{command}}}\n"
    return MARK + command


def needs(vacation: Vacation) -> set[str]:
    return {"vacation"}.union(*(sieve_words.test_needs(each) for each in _bounds(vacation)))


def _command(vacation: Vacation) -> str:
    parts = ["vacation", f":days {vacation.days}"]
    if vacation.subject:
        parts.append(f":subject {sieve_words.string(vacation.subject)}")
    if vacation.addresses:
        parts.append(f":addresses {sieve_words.strings(vacation.addresses)}")
    return f"{' '.join(parts)} {sieve_words.string(vacation.text)};\n"


def _bounds(vacation: Vacation) -> list[Condition]:
    since = [Condition(Field.DATE, How.SINCE, (vacation.since,))] if vacation.since else []
    until = [Condition(Field.DATE, How.UNTIL, (vacation.until,))] if vacation.until else []
    return since + until


def read(before: str, nodes: tuple[Node, ...]) -> Vacation | None:
    """None when it is not one of ours: other comments before it would be lost."""
    if before.strip() not in ("", MARK.strip()) or len(nodes) != 1:
        return None
    (node,) = nodes
    enabled, since, until = True, "", ""
    match node:
        case Node(name="if", tests=(Node(name="false"),), block=(inner,)):
            enabled, node = False, inner
    match node:
        case Node(name="if", tests=(test,), block=(inner,)):
            bounds = _read_bounds(test)
            if bounds is None:
                return None
            (since, until), node = bounds, inner
    found = _read_command(node)
    return found and Vacation(
        found.text, found.subject, since, until, found.days, found.addresses, enabled
    )


def _read_bounds(test: Node) -> tuple[str, str] | None:
    """The first and the last day."""
    tests = test.tests if test.name == "allof" else (test,)
    bounds = {How.SINCE: "", How.UNTIL: ""}
    for each in map(sieve_words.read_test, tests):
        if each is None or each.field is not Field.DATE or each.negated or bounds[each.how]:
            return None
        bounds[each.how] = each.values[0]
    return bounds[How.SINCE], bounds[How.UNTIL]


def _read_command(node: Node) -> Vacation | None:
    if node.name != "vacation" or not node.arguments or node.tests or node.block is not None:
        return None
    *options, text = node.arguments
    named = {
        tag.name: value
        for tag, value in zip(options[::2], options[1::2], strict=False)
        if isinstance(tag, Tag)
    }
    match text, named.get("subject", ("",)), named.get("days", 7), named.get("addresses", ()):
        case (words,), (subject,), int(days), tuple(addresses):
            return Vacation(words, subject, days=days, addresses=addresses)
    return None
