"""The rows of the filter `headers`: what they say, what they mean, and what is wrong with them."""

import pytest

from mta.filters.header_rules import Act, HeaderRuleError, apply, parse

MESSAGE = (
    b"Received: from a\r\nReceived: from b\r\nFrom: Ann <ann@example.com>\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the\r\n *sea*\r\nX-Flag: YES\r\nX-Flag: no\r\n"
    b"\r\nbody\r\n"
)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("Subject contains GRÜSSE FROM THE *SEA*", True),
        ("subject contains lake", False),
        ("Subject is grüße from the *sea*", True),
        ("Subject is grüße", False),
        ("Subject matches grü*SEA?", True),
        ("Subject matches sea", False),
        (r"Subject matches *\*sea\**", True),
        (r"Subject regex ^Gr.*sea\*$", True),
        ("Subject regex SEA", False),
        ("Subject regex (?i)SEA", True),
        ("Subject regex lake|sea", True),
        ("X-Flag is no", True),
        ("not X-Flag is no", False),
        ("X-Other is no", False),
        ("not X-Other is no", True),
        ("X-Other missing", True),
        ("X-Flag missing", False),
        ("not X-Flag missing", True),
        ("Received count > 1", True),
        ("Received count > 2", False),
        ("Received count =2", True),
        ("X-Other count < 1", True),
    ],
)
def test_what_a_test_means(test, expected):
    outcome = apply(MESSAGE, parse(f"{test} -> hold"))
    assert (outcome.act is Act.HOLD) == expected


def test_rows_are_asked_in_order_and_the_first_that_ends_them_counts():
    rules = parse("# first\n\nX-Flag is maybe -> discard\nX-Flag is no -> pass\nTo missing -> hold")
    outcome = apply(MESSAGE, rules)
    assert (outcome.act, str(outcome.rule)) == (Act.PASS, "line 4: X-Flag is no")
    assert outcome.content is None


def test_fields_are_added_and_removed_and_later_rows_see_that():
    rules = parse(
        "X-Flag is yes -> remove X-Flag\n"
        "X-Flag missing -> add X-Seen: grüße\n"
        "X-Seen is GRÜSSE -> refuse seen"
    )
    outcome = apply(MESSAGE, rules)
    assert (outcome.act, outcome.rule.argument) == (Act.REFUSE, "seen")
    header, body = outcome.content.split(b"\r\n\r\n")
    assert b"X-Flag" not in header
    assert header.endswith(b"\r\nX-Seen: =?utf-8?b?Z3LDvMOfZQ==?=")
    assert header.startswith(b"Received: from a\r\nReceived: from b\r\n")
    assert body == b"body\r\n"


def test_a_long_field_is_folded():
    outcome = apply(MESSAGE, parse("To missing -> add X-Long: " + "word " * 60))
    added = outcome.content.split(b"X-Long:")[1].split(b"\r\n\r\n")[0]
    assert max(map(len, added.split(b"\r\n"))) < 80
    assert b"".join(added.split(b"\r\n")).split() == [b"word"] * 60


def test_what_changes_nothing_leaves_the_message_alone():
    assert (
        apply(MESSAGE, parse("From missing -> add X: y\nTo missing -> remove To")).content is None
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Subject contains x", "line 1: FIELD TEST VALUE -> ACTION is expected"),
        ("\n\nSubject has x -> hold", "line 3: 'has' is no test: contains, is"),
        ("Subject contains -> hold", "contains needs a value"),
        ("Subject is x -> bounce", "'bounce' is no action"),
        ("Subject missing x -> hold", "missing takes no value"),
        ("Received count many -> hold", "count needs <, = or > and a number"),
        ("Subject regex ( -> hold", "the regular expression is wrong: missing )"),
        (r"Subject regex (a)\1 -> hold", "the regular expression is wrong"),
        ("Subj:ect is x -> hold", "is no test of a header field"),
        ("To missing -> add X-Seen", "add needs FIELD: VALUE"),
        ("To missing -> add X Y: z", "add needs FIELD: VALUE"),
        ("To missing -> remove Received", "Received belongs to the mail system"),
        ("To missing -> hold now", "hold takes no argument"),
        ("To is " + "x" * 1000 + " -> hold", "longer than 1000 letters"),
        ("To missing -> hold\n" * 501, "more than 500 rules"),
    ],
)
def test_a_row_that_cannot_be_meant_is_told_with_its_line(text, error):
    with pytest.raises(HeaderRuleError) as caught:
        parse(text)
    assert error in str(caught.value)


def test_no_expression_takes_longer_than_the_value_is_long():
    value = b"a" * 19_000 + b"!"
    rules = parse("Subject regex ^(a|aa)+$ -> hold\nSubject matches " + "*a" * 100 + "b -> hold")
    # By backtracking this test would not end.
    assert apply(b"Subject: " + value + b"\r\n\r\n", rules).act is None
