"""What a person should know about their rules before the mail tells them."""

from collections.abc import Sequence

from courierweb.portal.rule import Condition, Do, Field, How, Rule

_FORWARDS = (Do.FORWARD, Do.REDIRECT)


def of_rules(contents: Sequence[object], owner: str) -> list[list[str]]:
    """The sentences for each content of a script, in its order."""
    told: list[list[str]] = []
    earlier: list[tuple[int, Rule]] = []
    for place, content in enumerate(contents, 1):
        if not isinstance(content, Rule) or not content.enabled:
            told.append([])
            continue
        sentences = _of_rule(content, owner)
        shadow = next((each for each in earlier if _covers(each[1], content)), None)
        if shadow:
            name = shadow[1].name or f"number {shadow[0]}"
            sentences.append(f"Never reached: “{name}” takes all of this mail and stops.")
        told.append(sentences)
        if content.stops:
            earlier.append((place, content))
    return told


def forwards(rule: Rule) -> list[str]:
    """The addresses it forwards to."""
    return [each.value for each in rule.actions if each.do in _FORWARDS]


def _of_rule(rule: Rule, owner: str) -> list[str]:
    sentences = []
    if rule.every and _excluded(rule.tests):
        sentences.append("Never matches: its conditions exclude each other.")
    for address in forwards(rule):
        if address.lower() == owner.lower():
            sentences.append("Forwards to this mailbox itself.")
        elif address.rpartition("@")[2].lower() != owner.rpartition("@")[2].lower():
            sentences.append(f"Forwards outside, to {address}.")
    if any(each.do is Do.DISCARD for each in rule.actions):
        sentences.append("Throws mail away for good; nobody can bring it back.")
    return sentences


def _excluded(tests: tuple[Condition, ...]) -> bool:
    if any(
        Condition(each.field, each.how, each.values, each.header, not each.negated) in tests
        for each in tests
    ):
        return True
    return _empty_window(tests, Field.SIZE, How.OVER, How.UNDER) or _empty_window(
        tests, Field.DATE, How.SINCE, How.UNTIL
    )


def _empty_window(tests: tuple[Condition, ...], field: Field, low: How, high: How) -> bool:
    asked = [each for each in tests if each.field is field and not each.negated]
    lows = [_order(each.values[0]) for each in asked if each.how is low]
    highs = [_order(each.values[0]) for each in asked if each.how is high]
    return bool(lows and highs) and max(lows) > min(highs)


def _order(value: str) -> tuple[int, str]:
    """Sizes by their octets, days as they are written."""
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(value[-1:].upper(), 1)
    digits = value.rstrip("KMGkmg")
    return (int(digits) * scale, "") if digits.isdigit() else (0, value)


def _covers(first: Rule, second: Rule) -> bool:
    """Whether every message of the second is one of the first; False when it is not sure."""
    if not first.tests:
        return True
    if not second.tests:
        return False
    ours, theirs = set(first.tests), set(second.tests)
    if second.every or len(theirs) == 1:
        return ours <= theirs if first.every else bool(ours & theirs)
    return (not first.every or len(ours) == 1) and theirs <= ours
