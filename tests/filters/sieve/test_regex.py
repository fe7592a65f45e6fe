"""Regular expressions (draft-ietf-sieve-regex), in linear time."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done, failure, holds


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('header :regex "subject" "bears$"', True),
        ('header :regex "subject" "^bears"', False),
        ('header :regex "subject" "THE [[:digit:]]+ (wolves|bears)"', True),  # casemap
        ('header :regex :comparator "i;octet" "subject" "THE"', False),
        ('header :regex ["from", "subject"] ["^x", "[0-9]"]', True),
        ('header :regex "x-absent" ".*"', False),
        ('address :regex :localpart "to" "^bob[+]"', True),
        ('envelope :regex "from" "@example[.]test$"', True),
        ('string :regex "a\nb" "a.b"', True),
    ],
)
def test_expressions(test, expected):
    assert holds(test) is expected


@pytest.mark.parametrize("written", ["(", "[a", "a{1001}", "(?=a)", "\\\\1", "*", "x" * 5000])
def test_one_that_cannot_be_used_is_told_when_it_is_written(written):
    with pytest.raises(SieveError, match="expression") as caught:
        compile_script(f'{REQUIRE_ALL}if header :regex "a" ["b", "{written}"] {{ }}')
    assert (caught.value.line, caught.value.column) == (2, 28)


def test_all_together_are_bounded():
    one = 'if header :regex "a" "(a{1,30}b{1,30}){1,20}" { }'
    with pytest.raises(SieveError, match="too large together"):
        compile_script(REQUIRE_ALL + one * 200)


def test_one_with_variables_is_made_when_it_is_known():
    script = 'set :quoteregex "v" "3 b.*"; if header :regex "subject" "${v}" { discard; }'
    assert done(script) == ["keep"]
    assert done(script.replace(".*", "")) == ["discard"]
    assert "line 2: the regular expression" in failure(
        script.replace(":quoteregex ", "").replace("3 b.*", "(")
    )


@pytest.mark.parametrize(
    "written", ["(a*)*b", "(a|aa)+$x", "(a?){200}a{200}", "(.*a){12}z", "(.*)(.*)(.*)b"]
)
def test_none_of_them_takes_long(written):
    """The budget of a second would end the script with an error."""
    content = b"Subject: " + b"a" * 60_000 + b"\r\n\r\n"
    assert done(f'if header :regex "subject" "{written}" {{ stop; }}' * 5, content) == ["keep"]
