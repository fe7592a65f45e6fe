"""fileinto, mailboxexists and :create (RFC 5228 section 4.1, RFC 5490)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Surroundings
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done, holds

HERE = Surroundings(has_mailbox=lambda name: name in ("Work", "Work/Old"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [('"Work"', True), ('["Work", "Work/Old"]', True), ('["Work", "Play"]', False), ('""', False)],
)
def test_mailboxexists(names, expected):
    assert holds(f"mailboxexists {names}", surroundings=HERE) is expected


def test_create():
    assert done('fileinto :create "New";') == ["fileinto created New"]


@pytest.mark.parametrize("name", ["", "a//b", "/a", "a/", "../a", "a/./b", "a\tb", "x" * 300])
def test_names_that_cannot_be(name):
    with pytest.raises(SieveError, match="folder"):
        compile_script(f'{REQUIRE_ALL}fileinto "{name}";')


def test_a_program_knows_the_folders_it_needs():
    script = 'fileinto "a"; if true { fileinto "b"; } fileinto :create "c"; fileinto "${v}";'
    assert compile_script(REQUIRE_ALL + script).required_folders == {"a", "b"}
