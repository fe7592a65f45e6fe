"""Rules, tests and actions as sentences for a person."""

from courierweb.portal.rule import Action, Condition, Do, Field, How, Rule, Vacation

_SUBJECTS = {
    Field.FROM: "the sender",
    Field.TO: "To or Cc",
    Field.SUBJECT: "the subject",
    Field.LIST: "the mailing list",
    Field.BODY: "the text",
    Field.SIZE: "the size",
    Field.ATTACHMENT_TYPE: "the type of an attachment",
    Field.ATTACHMENT_NAME: "the name of an attachment",
    Field.RECIPIENT: "the address it was sent to",
    Field.TAG: "the +tag of the address it was sent to",
    Field.DATE: "the day it arrives",
    Field.TIME: "the time of day (UTC)",
    Field.WEEKDAY: "the weekday",
}
_HOWS = {
    How.CONTAINS: ("contains", "does not contain"),
    How.IS: ("is", "is not"),
    How.MATCHES: ("matches", "does not match"),
    How.OVER: ("is over", "is not over"),
    How.UNDER: ("is under", "is not under"),
    How.SINCE: ("is from", "is before"),
    How.UNTIL: ("is until", "is after"),
}
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


def of_condition(test: Condition) -> str:
    no = test.negated
    match test.field, test.how:
        case Field.ATTACHED, _:
            return "it has no attachment" if no else "it has an attachment"
        case Field.SPAM, _:
            return "it is not marked as spam" if no else "it is marked as spam"
        case Field.LIST, How.EXISTS:
            return "it is from no mailing list" if no else "it is from a mailing list"
        case Field.HEADER, How.EXISTS:
            return f"there is {'no' if no else 'a'} header {test.header}"
    subject = f"the header {test.header}" if test.header else _SUBJECTS[test.field]
    return f"{subject} {_HOWS[test.how][no]} {_values(test)}"


def _values(test: Condition) -> str:
    match test.field:
        case Field.WEEKDAY:
            texts = [DAYS[int(v)] if v in "0123456" and len(v) == 1 else v for v in test.values]
        case Field.SIZE:
            texts = [f"{v[:-1]} {v[-1]}iB" if v[-1:].isalpha() else f"{v} B" for v in test.values]
        case Field.DATE | Field.TIME:
            texts = list(test.values)
        case _:
            texts = [f"“{value}”" for value in test.values]
    return " or ".join(texts)


def of_action(action: Action) -> str:
    match action.do:
        case Do.FILE:
            return f"move it to {action.value}"
        case Do.COPY:
            return f"put a copy in {action.value}"
        case Do.TRASH:
            return "move it to Trash"
        case Do.FLAG:
            return "flag it"
        case Do.LABEL:
            return f"label it {action.value}"
        case Do.READ:
            return "mark it as read"
        case Do.FORWARD:
            return f"forward it to {action.value} and keep a copy"
        case Do.REDIRECT:
            return f"forward it to {action.value} without keeping a copy"
        case Do.REFUSE:
            return f"refuse it: “{action.value.strip()}”"
        case Do.DISCARD:
            return "throw it away for good"
        case Do.KEEP:
            return "keep it in the inbox"
    return "stop here"


def condition(rule: Rule) -> str:
    """The part of the sentence before the comma."""
    if not rule.tests:
        return "For every message"
    joint = " and " if rule.every else " or "
    return "If " + joint.join(of_condition(each) for each in rule.tests)


def consequence(rule: Rule) -> str:
    return ", ".join(of_action(each) for each in rule.actions)


def of_rule(rule: Rule) -> str:
    return f"{condition(rule)}: {consequence(rule)}."


def of_vacation(vacation: Vacation) -> str:
    since = f" from {vacation.since}" if vacation.since else ""
    until = f" until {vacation.until}" if vacation.until else ""
    every = "every day" if vacation.days == 1 else f"every {vacation.days} days"
    return f"Answer{since}{until}, to each sender once {every} at most."
