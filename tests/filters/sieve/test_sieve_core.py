"""Sieve as RFC 5228 has it: scripts, a message, and the actions that are expected."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Budget, Message, evaluate
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import words

CONTENT = (
    b'From: Ann <Ann@Example.TEST>\r\nTo: bob@example.test, "C" <carl@other.test>\r\n'
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from\r\n the *sea*\r\nX-Empty:\r\n"
    b"X-Broken: @example.test\r\n\r\nbody\r\n"
)
MESSAGE = Message(CONTENT, "bounce@lists.test", "bob@example.test")
REQUIRE = 'require ["fileinto", "reject", "ereject", "envelope", "copy"];\n'


def actions(script, message=MESSAGE, budget=None):
    result = evaluate(compile_script(REQUIRE + script), message, budget=budget)
    return [words(each) for each in result.actions], result.error


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", ["keep"]),  # 2.10.2
        ("discard;", ["discard"]),  # 4.4
        ("keep; keep;", ["keep"]),  # 4.3, 2.10.3
        ("discard; keep;", ["discard", "keep"]),
        ("stop; discard;", ["keep"]),  # 3.3
        ("if true { stop; } discard;", ["keep"]),
        ('fileinto "a"; fileinto "a"; fileinto "b";', ["fileinto a", "fileinto b"]),  # 4.1
        ('fileinto :copy "a";', ["fileinto a", "keep"]),  # RFC 3894
        ('redirect "x@y.test";', ["redirect x@y.test"]),  # 4.2
        ('redirect :copy "x@y.test";', ["redirect x@y.test", "keep"]),
        ('reject "no";', ["reject no"]),  # RFC 5429
        ("reject text:\r\none\r\n..two\r\n.\r\n;", ["reject one\r\n.two"]),  # 2.4.2
        ("if false { keep; } elsif true { discard; } else { stop; }", ["discard"]),  # 3.1
    ],
)
def test_actions(script, expected):
    assert actions(script) == (expected, "")


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('header "subject" "Grüße from the *sea*"', True),  # 2.4.2.2, RFC 2047
        ('header :contains "SUBJECT" "FROM THE"', True),  # 2.7.3, casemap by default
        ('header :comparator "i;octet" :contains "subject" "FROM"', False),
        ('header :matches "subject" "gr??e*\\\\*sea\\\\*"', True),  # 2.7.1
        ('header :matches "subject" "?"', False),
        ('header "x-empty" ""', True),  # 5.7
        ('header "x-absent" ""', False),
        ('address :all "from" "ann@example.test"', True),  # 5.1
        ('address :localpart ["to", "cc"] ["x", "carl"]', True),  # 2.7.4
        ('address :domain :is "to" "third.test"', False),
        ('exists ["from", "to"]', True),  # 5.5
        ('exists ["from", "cc"]', False),
        ("size :over 10K", False),  # 5.9
        (f"size :over {len(CONTENT)}", False),
        (f"size :under {len(CONTENT)}", False),
        (f"size :under {len(CONTENT) + 1}", True),
        ('address :domain "x-broken" "example.test"', False),  # 2.7.4, it is no address
        ('address "x-broken" "@example.test"', True),
        ("allof (true, not false, anyof (false, true))", True),  # 5.2, 5.3, 5.8
        ("allof (true, false)", False),
        ('envelope :domain "from" "lists.test"', True),  # 5.4
    ],
)
def test_tests(test, expected):
    found = actions(f"# a comment\nif {test} {{ discard; }} /* another */")
    assert found == (["discard"] if expected else ["keep"], "")


@pytest.mark.parametrize(
    ("script", "line", "column", "said"),
    [
        ('require "nonsense";', 1, 9, "'nonsense' is not known"),
        ('keep;\n fileinto "x";', 2, 2, 'needs require "fileinto"'),
        ('require "fileinto";\nfileinto :copy "x";', 2, 10, 'needs require "copy"'),
        ('keep; require "fileinto";', 1, 7, "before all other commands"),
        ("else { keep; }", 1, 1, 'must follow an "if"'),
        ("keep", 1, 5, 'expected ";"'),
        ("if true { keep;", 1, 16, "expected a command"),
        ('redirect "', 1, 10, "this is no Sieve"),
        ("frobnicate;", 1, 1, "no command known"),
        ('if header :is :contains "a" "b" { }', 1, 15, "second match type"),
        ("if size 3 { keep; }", 1, 4, "wrong arguments"),
        ("if " + "not " * 40 + "true { }", 1, 64, "nested deeper than 15"),
        ("keep; " * 40_000, 1, 1, "longer than"),
    ],
)
def test_errors_name_line_and_column(script, line, column, said):
    with pytest.raises(SieveError) as caught:
        compile_script(script)
    assert said in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    ("script", "budget", "said"),
    [
        ("".join(f'redirect "{n}@x.test";' for n in range(5)), Budget(), "4 redirects"),
        ('fileinto "a"; fileinto "b";', Budget(actions=1), "1 actions"),
        ("discard; " * 9, Budget(steps=8), "8 steps"),
        ("discard;", Budget(seconds=-1), "more than -1 s"),
        ('fileinto "a"; reject "no";', Budget(), "excludes"),
    ],
)
def test_a_script_that_fails_keeps_the_message(script, budget, said):
    done, error = actions(script, budget=budget)
    assert done == ["keep"] and said in error


def test_the_trace_says_what_was_compared():
    script = compile_script('if address :domain "from" "example.test" {\n discard; }')
    steps = [(each.line, each.text, each.matched) for each in evaluate(script, MESSAGE).trace]
    compared = "address from (domain): 'Example.TEST' is 'example.test'"
    assert steps == [(1, compared, True), (2, "discard", None)]


def test_garbage_is_a_message_too():
    for content in (b"", b"\x00\xff" * 500, b"Subject: =?x?b?!!?=\r\n", b"From: <<<@@\r\n\r\n"):
        done = actions('if header "subject" "x" { discard; }', Message(content, "", "a@b.test"))
        assert done == (["keep"], "")


def test_a_costly_pattern_is_given_up():
    message = Message(b"Subject: " + b"a" * 30_000 + b"\r\n\r\n", "", "a@b.test")
    script = f'if header :matches "subject" "*{"a?" * 150}b*" {{ discard; }}'
    done, error = actions(script, message)
    assert done == ["keep"] and "too many steps" in error
