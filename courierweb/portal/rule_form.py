"""The form of one rule: rows of tests and actions, read and checked without JavaScript.

What a row compares and how is one choice ("from.contains"), so that no combination is senseless.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import QueryDict

from courierweb.portal.rule import Action, Condition, Do, Field, How, Rule

_TEXT = (How.CONTAINS, How.IS, How.MATCHES)
CHOICES: tuple[tuple[str, tuple[tuple[Field, tuple[How, ...]], ...]], ...] = (
    (
        "Who and what",
        (
            (Field.FROM, _TEXT),
            (Field.TO, _TEXT),
            (Field.SUBJECT, _TEXT),
            (Field.LIST, (How.CONTAINS, How.IS, How.EXISTS)),
            (Field.HEADER, (*_TEXT, How.EXISTS)),
            (Field.SPAM, (How.EXISTS,)),
        ),
    ),
    (
        "Text and attachments",
        (
            (Field.BODY, (How.CONTAINS,)),
            (Field.SIZE, (How.OVER, How.UNDER)),
            (Field.ATTACHED, (How.EXISTS,)),
            (Field.ATTACHMENT_TYPE, (How.IS,)),
            (Field.ATTACHMENT_NAME, (How.CONTAINS,)),
        ),
    ),
    (
        "Where it was sent",
        ((Field.RECIPIENT, _TEXT), (Field.TAG, _TEXT)),
    ),
    (
        "When it arrives",
        (
            (Field.DATE, (How.SINCE, How.UNTIL)),
            (Field.TIME, (How.SINCE, How.UNTIL)),
            (Field.WEEKDAY, (How.IS,)),
        ),
    ),
)
_FIELD_NAMES = {
    Field.FROM: "Sender",
    Field.TO: "To or Cc",
    Field.SUBJECT: "Subject",
    Field.LIST: "Mailing list",
    Field.HEADER: "Any header",
    Field.BODY: "Text",
    Field.SIZE: "Size",
    Field.ATTACHMENT_TYPE: "Type of an attachment",
    Field.ATTACHMENT_NAME: "Name of an attachment",
    Field.RECIPIENT: "Address it was sent to",
    Field.TAG: "+tag of the address",
    Field.DATE: "Day",
    Field.TIME: "Time of day (UTC)",
    Field.WEEKDAY: "Weekday",
}
_HOW_NAMES = {
    How.CONTAINS: "contains",
    How.IS: "is exactly",
    How.MATCHES: "matches (* and ?)",
    How.OVER: "is over",
    How.UNDER: "is under",
    How.EXISTS: "is there",
    How.SINCE: "is from … on",
    How.UNTIL: "is until",
}
ACTIONS = (
    (Do.FILE, "Move it to the folder"),
    (Do.COPY, "Put a copy in the folder"),
    (Do.TRASH, "Move it to Trash"),
    (Do.FLAG, "Flag it"),
    (Do.LABEL, "Label it"),
    (Do.READ, "Mark it as read"),
    (Do.FORWARD, "Forward it and keep a copy, to"),
    (Do.REDIRECT, "Forward it without a copy, to"),
    (Do.KEEP, "Keep it in the inbox"),
    (Do.REFUSE, "Refuse it with the text"),
    (Do.DISCARD, "Throw it away for good"),
)
WITH_VALUE = frozenset((Do.FILE, Do.COPY, Do.LABEL, Do.FORWARD, Do.REDIRECT, Do.REFUSE))
MOST_ROWS = 40
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_SIZE = re.compile(r"(\d{1,12})\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_HEADER = re.compile(r"[!-9;-~]{1,76}")
_LABEL = re.compile(r"\\?[A-Za-z0-9$_.!#&'+,/:;<=>?@^`|~-]{1,60}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def choice(test: Condition) -> str:
    return f"{test.field.value}.{test.how.value}"


def choice_groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, [(value, words)]) for the selects of tests."""
    return [
        (
            title,
            [
                (f"{f.value}.{how.value}", _choice_words(f, how))
                for f, hows in fields
                for how in hows
            ],
        )
        for title, fields in CHOICES
    ]


def _choice_words(which: Field, how: How) -> str:
    if which is Field.ATTACHED:
        return "It has an attachment"
    if which is Field.SPAM:
        return "It is marked as spam"
    return f"{_FIELD_NAMES[which]} {_HOW_NAMES[how]}"


@dataclass(slots=True)
class TestRow:
    choice: str = "from.contains"
    values: str = ""
    header: str = ""
    negated: bool = False
    error: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.values.strip() and not self.choice.endswith(".exists")


@dataclass(slots=True)
class ActionRow:
    do: str = Do.FILE.value
    value: str = ""
    error: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.value.strip() and Do(self.do) in WITH_VALUE


@dataclass(slots=True)
class RuleForm:
    """What stands in the form; `rule()` is what it means, None with the errors set."""

    name: str = ""
    every: bool = True
    enabled: bool = True
    always: bool = False
    stop: bool = True
    note: str = ""
    tests: list[TestRow] = field(default_factory=lambda: [TestRow()])
    actions: list[ActionRow] = field(default_factory=lambda: [ActionRow()])
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, rule: Rule) -> "RuleForm":
        tests = [
            TestRow(choice(each), "\n".join(each.values), each.header, each.negated)
            for each in rule.tests
        ]
        actions = [
            ActionRow(each.do.value, each.value) for each in rule.actions if each.do is not Do.STOP
        ]
        return cls(
            rule.name,
            rule.every,
            rule.enabled,
            not rule.tests,
            rule.stops,
            rule.note,
            tests or [TestRow()],
            actions or [ActionRow()],
        )

    @classmethod
    def posted(cls, data: QueryDict, note: str) -> "RuleForm":
        tests = [
            TestRow(
                data[f"test-{i}-choice"],
                _unix(data.get(f"test-{i}-values", "")),
                data.get(f"test-{i}-header", "").strip(),
                data.get(f"test-{i}-negated") == "not",
            )
            for i in range(MOST_ROWS)
            if f"test-{i}-choice" in data
        ]
        actions = [
            ActionRow(data[f"action-{i}-do"], _unix(data.get(f"action-{i}-value", "")))
            for i in range(MOST_ROWS)
            if data.get(f"action-{i}-do") in {do.value for do, _ in ACTIONS}
        ]
        return cls(
            " ".join(data.get("name", "").split())[:100],
            data.get("every") != "any",
            data.get("enabled") == "on",
            data.get("always") == "always",
            data.get("stop") == "on",
            note,
            tests or [TestRow()],
            actions or [ActionRow()],
        )

    def change_rows(self, button: Mapping[str, str]) -> bool:
        """Whether a button of the form asked for another row, or for one less."""
        if "add-test" in button:
            self.tests.append(TestRow())
        elif "add-action" in button:
            self.actions.append(ActionRow())
        elif (at := _index(button.get("remove-test", ""), len(self.tests))) is not None:
            self.tests = self.tests[:at] + self.tests[at + 1 :] or [TestRow()]
        elif (at := _index(button.get("remove-action", ""), len(self.actions))) is not None:
            self.actions = self.actions[:at] + self.actions[at + 1 :] or [ActionRow()]
        else:
            return False
        return True

    def rule(self) -> Rule | None:
        tests = [] if self.always else [self._test(row) for row in self._filled_tests()]
        actions = [self._action(row) for row in self.actions if not row.is_empty]
        if not self.always and not tests:
            self.errors.append("Say which messages the rule is for, or choose every message.")
        if not actions and not self.stop:
            self.errors.append("Say what is to be done.")
        asked = {each.do for each in actions if each}
        if Do.REFUSE in asked and asked - {Do.REFUSE}:
            self.errors.append("What is refused cannot be kept, moved or forwarded as well.")
        if self.errors or not all(tests) or not all(actions):
            return None
        known = [each for each in actions if each]
        # Flags are those of the messages that are stored after them (RFC 5232, section 3).
        known.sort(key=lambda each: each.do not in (Do.FLAG, Do.LABEL, Do.READ))
        if self.stop:
            known.append(Action(Do.STOP))
        return Rule(
            self.name or "Without a name",
            tuple(each for each in tests if each),
            tuple(known),
            self.every,
            self.enabled,
            self.note,
        )

    def _filled_tests(self) -> list[TestRow]:
        return [row for row in self.tests if not row.is_empty]

    def _test(self, row: TestRow) -> Condition | None:
        try:
            return _condition(row)
        except ValidationError as error:
            row.error = " ".join(error.messages)
        return None

    def _action(self, row: ActionRow) -> Action | None:
        try:
            return _checked_action(Do(row.do), row.value.strip())
        except ValidationError as error:
            row.error = " ".join(error.messages)
        return None


def _condition(row: TestRow) -> Condition:
    which, _, how = row.choice.partition(".")
    try:
        asked, way = Field(which), How(how)
    except ValueError:
        raise ValidationError("Choose what is compared.") from None
    header = ""
    if asked is Field.HEADER:
        header = row.header.rstrip(":")
        if not _HEADER.fullmatch(header):
            raise ValidationError("Give the header's name, such as X-Priority.")
    if way is How.EXISTS:
        return Condition(asked, way, (), header, row.negated)
    lines = [each.strip() for each in row.values.split("\n") if each.strip()]
    values = tuple(dict.fromkeys(_value(asked, each) for each in lines))
    if asked in (Field.SIZE, Field.DATE, Field.TIME) and len(values) > 1:
        raise ValidationError("One value only.")
    return Condition(asked, way, values, header, row.negated)


def _value(asked: Field, text: str) -> str:
    if _CONTROLS.search(text):
        raise ValidationError("There is a control character in it.")
    match asked:
        case Field.SIZE:
            found = _SIZE.fullmatch(text)
            if not found:
                raise ValidationError("A size is written like 10M, 500K or 2000.")
            return f"{int(found[1])}{found[2].upper()}"
        case Field.DATE:
            if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", text):
                raise ValidationError("A day is written like 2026-05-31.")
        case Field.TIME:
            if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", text):
                raise ValidationError("A time is written like 22:30.")
            return text if len(text) == 8 else f"{text}:00"
        case Field.WEEKDAY:
            return _weekday(text)
    return text[:1000]


def _weekday(text: str) -> str:
    if re.fullmatch("[0-6]", text):
        return text
    found = [i for i, day in enumerate(_DAYS) if len(text) > 1 and day.startswith(text.lower())]
    if len(found) != 1:
        raise ValidationError("A weekday is written like Monday.")
    return str(found[0])


def _checked_action(do: Do, value: str) -> Action:
    if do not in WITH_VALUE:
        return Action(do)
    if _CONTROLS.search(value) or (do is not Do.REFUSE and "\n" in value):
        raise ValidationError("There is a control character in it.")
    if do in (Do.FORWARD, Do.REDIRECT):
        validate_email(value)
    if do is Do.LABEL and not _LABEL.fullmatch(value):
        raise ValidationError("A label is one word.")
    if do in (Do.FILE, Do.COPY):
        levels = value.split("/")
        if not all(levels) or any(each.startswith(".") for each in levels) or len(value) > 200:
            raise ValidationError('A folder is a name, with "/" between levels.')
    return Action(do, value)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _index(text: str, size: int) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 4 and int(text) < size else None
