"""duplicate (RFC 7352)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Surroundings
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import PLAIN, REQUIRE_ALL, failure, holds, result

OTHER = PLAIN.replace(b"<one@", b"<two@")


def remembered(test, content=PLAIN):
    """What a delivery leaves to be remembered."""
    return dict(result(f"if {test} {{ }}", content).seen)


def repeated(test, first=PLAIN, second=PLAIN, again=None):
    seen = remembered(test, first)
    return holds(again or test, second, Surroundings(has_seen=seen.__contains__))


@pytest.mark.parametrize(
    ("test", "second", "expected"),
    [
        ("duplicate", PLAIN, True),  # 3
        ("duplicate", OTHER, False),
        ('duplicate :header "subject"', OTHER, True),  # 3.1
        ('duplicate :uniqueid "x"', OTHER, True),  # 3.1
        ('duplicate :header "x-absent"', PLAIN, False),
    ],
)
def test_the_second_message(test, second, expected):
    assert repeated(test, second=second) is expected


def test_handles_are_kept_apart():
    assert not repeated('duplicate :handle "a"', again='duplicate :handle "b"')
    assert not repeated('duplicate :uniqueid "x"', again='duplicate :header "x"')


def test_times():
    assert set(remembered("duplicate").values()) == {7 * 86400}
    assert set(remembered("duplicate :seconds 1800").values()) == {1800}
    assert set(remembered("duplicate :seconds 999999999").values()) == {90 * 86400}


def test_with_last_a_duplicate_is_remembered_again():
    seen = Surroundings(has_seen=lambda key: True)
    assert result("if duplicate { }", surroundings=seen).seen == ()
    assert len(result("if duplicate :last { }", surroundings=seen).seen) == 1


def test_within_one_script_it_is_no_duplicate_of_itself():
    assert not holds("allof (duplicate, duplicate)")


def test_a_script_that_fails_remembers_nothing():
    assert "x" in failure('if not duplicate { error "x"; }')


def test_keys_have_one_length():
    (key,) = remembered(f'duplicate :uniqueid "{"x" * 9000}"')
    assert len(key) == 64


def test_errors():
    with pytest.raises(SieveError, match="second identity"):
        compile_script(f'{REQUIRE_ALL}if duplicate :header "a" :uniqueid "b" {{ }}')
