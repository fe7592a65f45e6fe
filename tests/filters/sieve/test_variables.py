"""Variables (RFC 5229)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Budget
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done, failure, holds, result


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('set "a" "x"; fileinto "${a}y";', "xy"),  # 3
        ('set "A" "x"; fileinto "${a}";', "x"),  # 3, names in any case
        ('fileinto "a${none}b";', "ab"),  # 3, unknown is empty
        ('set "a" "1"; set "a" "${a}2"; fileinto "${a}";', "12"),
        ('set "a" "x"; fileinto "${a$}${1a}${a";', "${a$}${1a}${a"),  # 3, not a reference
        ('set "a" "${b}"; set "b" "x"; fileinto "z${a}";', "z"),  # expanded once, when it is set
        ('set "d" "$"; set "a" "x"; fileinto "${d}{a}";', "${a}"),
    ],
)
def test_references(script, expected):
    assert done(script) == [f"fileinto {expected}"]


@pytest.mark.parametrize(
    ("modifiers", "value", "expected"),
    [
        (":lower", "AbC", "abc"),  # 4.1.1
        (":upper", "AbC", "ABC"),
        (":lowerfirst", "ABC", "aBC"),  # 4.1.2
        (":upperfirst :lower", "hELLO", "Hello"),  # 4.1, the case of the text first
        (":quotewildcard", "a*b?c\\\\d", "a\\*b\\?c\\\\d"),  # 4.1.3
        (":quoteregex", "a.b", "a\\.b"),
        (":length", "abc", "3"),  # 4.1.4
        (":length", "", "0"),
        (":length :quotewildcard", "*", "2"),  # 4.1, the length last
        (":encodeurl", "a b&ü", "a%20b%26%C3%BC"),  # RFC 5435, section 6
    ],
)
def test_modifiers(modifiers, value, expected):
    script = f'set {modifiers} "v" "{value}"; fileinto "${{v}}";'
    assert done(script) == [f"fileinto {expected}"]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('header :matches "subject" "the * *"', ["The 3 bears", "3", "bears"]),  # 3.2
        (
            'header :matches "subject" "*b*"',
            ["The 3 bears", "The 3 ", "ears"],
        ),  # as little as it can
        ('header :matches "subject" "The ? ?*"', ["The 3 bears", "3", "b", "ears"]),
        ('header :regex "subject" "(\\\\d+) (b|c)"', ["3 b", "3", "b"]),
        ('address :matches "to" "*@*"', ["bob+lists@example.test", "bob+lists", "example.test"]),
        ('anyof (header :matches "subject" "The*", header :matches "from" "no*")', ["The 3 bears"]),
    ],
)
def test_match_variables(test, expected):
    kept = "".join(f'fileinto "{n}${{{n}}}";' for n in range(len(expected)))
    found = done(f"if {test} {{ {kept} }}")
    assert found == [f"fileinto {n}{each}" for n, each in enumerate(expected)]


def test_a_match_that_fails_leaves_the_variables():
    script = 'if not header :matches "subject" "x*" { fileinto "a${1}"; }'
    assert done(f'if header :matches "subject" "* 3*" {{}} {script}') == ["fileinto aThe"]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('string "${a}" "x"', True),  # 5
        ('string :matches ["q", "${a}"] "x"', True),
        ('string "${a}" "${b}"', False),
        ('string "${b}" "y"', True),
        ('string :count "eq" ["${a}", "${none}"] "1"', True),  # 5, empty strings do not count
    ],
)
def test_string(test, expected):
    assert holds(test, before='set "a" "x"; set "b" "y";') is expected


@pytest.mark.parametrize(
    ("script", "column", "said"),
    [
        ('set "1a" "x";', 5, "no name of a variable"),
        ('set "a.b" "x";', 5, "namespace"),
        ('fileinto "${vnd.x}";', 10, "namespace"),  # 3
        ('fileinto "${100}";', 10, "at most"),
        ('set "${a}" "x";', 5, "cannot come from"),
        ('set :lower :upper "a" "x";', 12, "second case of the text"),  # 4.1
    ],
)
def test_errors(script, column, said):
    with pytest.raises(SieveError) as caught:
        compile_script(REQUIRE_ALL + script)
    assert said in str(caught.value)
    assert (caught.value.line, caught.value.column) == (2, column)


def test_without_the_extension_it_is_just_text():
    program = compile_script('require "fileinto"; fileinto "${a}";')
    assert program.commands[0].texts(0) == ("${a}",)


def test_values_are_bounded():
    double = 'set "a" "${a}${a}";' * 40
    script = f'set "a" "x"; {double} set :length "n" "${{a}}"; fileinto "${{n}}";'
    assert done(script) == ["fileinto 8192"]
    many = "".join(f'set "v{n}" "x";' for n in range(300))
    assert "more than 256 variables" in failure(many)
    assert result(many, budget=Budget(variables=400)).error == ""
    # A long string of references is cut as well.
    wide = "${a}" * 20_000
    assert done(f'set "a" "x"; {double} if string "{wide}" "x" {{ discard; }}') == ["keep"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ('fileinto "${x}";', "a folder needs a name"),
        ('fileinto "a/../${x}b";', "a level of it"),
        ('redirect "${x}";', "is no address"),
        ('if header :regex "subject" "(${y}" { discard; }', "expression cannot be used"),
    ],
)
def test_what_only_shows_at_run_time_keeps_the_message(command, said):
    assert said in failure(command)
