"""vacation (RFC 5230) and vacation-seconds (RFC 6131)."""

import pytest

from mta.filters.sieve import actions
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done, failure, result

DAY = 24 * 3600


def vacation(arguments, before=""):
    found = result(f"{before}vacation {arguments};")
    assert found.error == ""
    (answer,) = [each for each in found.actions if isinstance(each, actions.Vacation)]
    return answer


def test_everything_that_can_be_said():
    answer = vacation(
        ':days 3 :subject "Away" :from "Bob <bob@x.test>" :addresses ["b@x.test", "c@x.test"]'
        ' :handle "h" :mime "text"'
    )
    assert answer == actions.Vacation(
        *("text", 3 * DAY, "Away", "bob@x.test", ("b@x.test", "c@x.test"), "h", True, 2)
    )


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ('"x"', 7 * DAY),  # RFC 5230, 4.1
        (':days 0 "x"', DAY),
        (':days 1000000 "x"', 366 * DAY),
        (':seconds 1800 "x"', 1800),  # RFC 6131, 2
        (':seconds 0 "x"', 0),
    ],
)
def test_the_period(arguments, seconds):
    assert vacation(arguments).seconds == seconds


def test_the_message_is_kept():
    assert done('vacation "x";') == ["vacation", "keep"]
    assert done('discard; vacation "x";') == ["discard", "vacation"]


def test_variables():
    answer = vacation(':subject "Re: ${s}" "${s}!"', before='set "s" "a\r\nBcc: x";')
    assert answer.subject == "Re: a Bcc: x" and answer.text == "a\r\nBcc: x!"
    assert vacation(':from "${s}" "x"', before='set "s" "nobody";').sender == ""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('vacation "a"; vacation "b";', "one vacation reply"),  # 4.7
        ('vacation "a"; reject "b";', "excludes"),  # 4.7
    ],
)
def test_what_excludes_it(script, said):
    assert said in failure(script)


@pytest.mark.parametrize(
    ("arguments", "column", "said"),
    [
        (':from "nobody" "x"', 1, "is no address"),
        (':addresses ["a@x.test", "@"] "x"', 1, "is no address"),
        (':days 1 :seconds 1 "x"', 18, "second period"),
        ('""', 10, "needs a text"),
        ("", 1, "wrong arguments"),
    ],
)
def test_errors(arguments, column, said):
    with pytest.raises(SieveError) as caught:
        compile_script(f"{REQUIRE_ALL}vacation {arguments};")
    assert said in str(caught.value)
    assert (caught.value.line, caught.value.column) == (2, column)
