"""encoded-character (RFC 5228, section 2.4.2.4)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("a${hex:40}b", "a@b"),
        ("${hex: 40 41}", "@A"),
        ("${HEX:c3 bc}", "ü"),
        ("${unicode:40}", "@"),
        ("${Unicode:fc 000041}", "üA"),
        ("${hex:400}", "${hex:400}"),
        ("${hex:}", "${hex:}"),
        ("${unicode:40", "${unicode:40"),
    ],
)
def test_characters(written, text):
    assert done(f'fileinto "{written}";') == [f"fileinto {text}"]


@pytest.mark.parametrize(
    "written", ["${unicode:200000}", "${unicode:Dfff}", "${hex:ff}", "${unicode:fffffffff}"]
)
def test_what_is_no_character(written):
    with pytest.raises(SieveError, match="is no character") as caught:
        compile_script(f'{REQUIRE_ALL}fileinto "{written}";')
    assert (caught.value.line, caught.value.column) == (2, 10)
