"""Rules of the builder and Sieve text, both ways."""

import random

import pytest

from courierweb.portal import rules
from courierweb.portal.rule import Action, Condition, Do, Field, How, Opaque, Rule, Vacation
from courierweb.portal.rules import Item, Script
from mta.filters.sieve.syntax import SieveError, parse

TESTS = (
    Condition(Field.FROM, How.CONTAINS, ("bob", "carol@example.org")),
    Condition(Field.FROM, How.IS, ("bob@example.org",), negated=True),
    Condition(Field.TO, How.MATCHES, ("*@lists.example.org",)),
    Condition(Field.SUBJECT, How.IS, ('a "quoted" \\ word',)),
    Condition(Field.HEADER, How.CONTAINS, ("high",), "X-Priority"),
    Condition(Field.HEADER, How.EXISTS, (), "X-Mailer"),
    Condition(Field.LIST, How.CONTAINS, ("dev.example.org",)),
    Condition(Field.LIST, How.EXISTS),
    Condition(Field.SIZE, How.OVER, ("10M",)),
    Condition(Field.SIZE, How.UNDER, ("1500",)),
    Condition(Field.ATTACHED, How.EXISTS),
    Condition(Field.ATTACHMENT_TYPE, How.IS, ("application/pdf", "image")),
    Condition(Field.ATTACHMENT_NAME, How.CONTAINS, (".exe", "(1).*")),
    Condition(Field.BODY, How.CONTAINS, ("invoice",)),
    Condition(Field.RECIPIENT, How.IS, ("me@example.test",)),
    Condition(Field.TAG, How.IS, ("shop",), negated=True),
    Condition(Field.DATE, How.SINCE, ("2026-05-31",)),
    Condition(Field.TIME, How.UNTIL, ("06:00:00",)),
    Condition(Field.WEEKDAY, How.IS, ("0", "6")),
    Condition(Field.SPAM, How.EXISTS),
)
ACTIONS = (
    Action(Do.FLAG),
    Action(Do.READ),
    Action(Do.LABEL, "work"),
    Action(Do.FILE, "Lists/dev"),
    Action(Do.COPY, "Archiv für später"),
    Action(Do.TRASH),
    Action(Do.FORWARD, "me@elsewhere.example"),
    Action(Do.REDIRECT, "me@elsewhere.example"),
    Action(Do.REFUSE, "no\nthank you"),
    Action(Do.DISCARD),
    Action(Do.KEEP),
    Action(Do.STOP),
)
OPAQUE = Opaque(
    '/* mine */ if size :over 1K { keep; } elsif true { discard; } else { stop; } # "x;{"\n'
)
FOREIGN = """# my own script, {with} "strange; things
require ["fileinto", "copy"]; require "envelope";

# rule:[First ] one]
if header :contains "subject" ["a", "b"]
{
\tfileinto "A";  # comment inside
}
# rule:[Second]
if anyof (address :is "from" "x@y.example", not exists "list-id") { fileinto :copy "B"; stop; }
if size :over 2M { keep; } elsif true { discard; }
redirect text:
a@b.example
.
;
/* the end */
"""


def one(content):
    return rules.read(rules.write_script(Script(items=(Item(content),)))).items


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{test.field.value}-{test.how.value}")
def test_every_test_is_read_as_it_was_written(test):
    rule = Rule("one", (test,), (Action(Do.STOP),))
    assert [each.content for each in one(rule)] == [rule]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.do.value)
def test_every_action_is_read_as_it_was_written(action):
    rule = Rule("one", TESTS[:2], (action,), every=False, enabled=False)
    assert [each.content for each in one(rule)] == [rule]


@pytest.mark.parametrize("seed", range(200))
def test_rules_to_text_to_rules(seed):
    chance = random.Random(seed)
    contents = [_any_content(chance) for _ in range(chance.randrange(6))]
    if chance.random() < 0.5:
        contents.insert(0, _any_vacation(chance))
    text = rules.write_script(Script(items=tuple(Item(each) for each in contents)))
    assert [each.content for each in rules.read(text).items] == contents
    assert rules.write_script(rules.read(text)) == text


def _any_content(chance):
    if chance.random() < 0.2:
        return OPAQUE
    return Rule(
        chance.choice(("", "Plain", "with ] bracket", 'ünï "x" # y')),
        tuple(chance.sample(TESTS, chance.randrange(4))),
        tuple(chance.sample(ACTIONS, chance.randrange(1, 4))),
        every=chance.random() < 0.5,
        enabled=chance.random() < 0.7,
        note=chance.choice(("", "# why it is here\n")),
    )


def _any_vacation(chance):
    return Vacation(
        'I am "away".\nBack soon.',
        chance.choice(("", "Away")),
        chance.choice(("", "2026-07-01")),
        chance.choice(("", "2026-07-14")),
        chance.randrange(1, 30),
        chance.choice(((), ("me@example.test", "other@example.test"))),
        chance.random() < 0.7,
    )


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# only a comment", "keep;", FOREIGN, FOREIGN.replace("\n", "\r\n"), "stop;#end"],
)
def test_a_text_that_nobody_changed_stays_to_the_octet(text):
    assert rules.write_script(rules.read(text)) == text


def test_what_the_builder_cannot_show_stays_in_its_place():
    script = rules.read(FOREIGN)
    kinds = [type(each.content).__name__ for each in script.items]
    assert kinds == ["Opaque", "Rule", "Opaque", "Opaque"]
    new = Rule("New", (), (Action(Do.STOP),))
    changed = rules.write_script(script.with_item(1, new))
    before, after = FOREIGN.split("# rule:[Second]\n")
    assert changed.startswith(before)
    assert changed.endswith(after.split("\n", 1)[1])
    assert changed[len(before) :].startswith(rules.write(new))


def test_rules_that_are_moved_take_their_comments_along():
    script = rules.read(FOREIGN)
    first, second = script.items[0].text, script.items[1].text
    assert second + first in rules.write_script(script.moved(1, 0))


def test_a_changed_rule_requires_what_it_is_made_of():
    script = rules.read('require ["fileinto"];\nkeep;\n')
    text = rules.write_script(script.with_item(1, Rule("x", (), (Action(Do.REFUSE, "no"),))))
    assert text.startswith('require ["ereject", "fileinto"];\nkeep;\n')


def test_comments_about_what_is_required_are_kept():
    script = rules.read('# mine\nrequire "copy";\nkeep;\n')
    text = rules.write_script(script.with_item(1, Rule("x", (), (Action(Do.REFUSE, "no"),))))
    assert text.startswith('# mine\nrequire "copy";\nrequire ["ereject"];\nkeep;\n')


def test_the_vacation_stands_first_and_is_replaced_in_its_place():
    script = rules.read("keep;\n").with_vacation(Vacation("Away"))
    again = rules.read(rules.write_script(script))
    assert again.vacation == Vacation("Away")
    assert [type(each.content) for each in again.items] == [Vacation, Opaque]
    changed = again.with_vacation(Vacation("Back in May", since="2026-04-01"))
    assert rules.read(rules.write_script(changed)).vacation.text == "Back in May"
    assert rules.write_script(again.with_vacation(None)).endswith("keep;\n")


def test_a_folder_that_another_client_names_is_a_rule_too():
    (item,) = rules.read('if true { fileinto "Spam"; }').items
    assert item.content == Rule("", (), (Action(Do.FILE, "Spam"),))


def test_garbage_is_told_with_its_place():
    with pytest.raises(SieveError) as told:
        rules.read('keep;\nif header "a" {')
    assert told.value.line == 2


def test_what_is_written_parses():
    for test in TESTS:
        assert parse(rules.write(Rule("x", (test,), ACTIONS)))
