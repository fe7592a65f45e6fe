"""The tables of commands and tests, and what a Program says about itself."""

import pytest

from mta.filters.sieve import evaluate, vocabulary
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.syntax import SieveError
from mta.filters.sieve.vocabulary import capabilities
from tests.support.sieve import REQUIRE_ALL


def test_everything_that_can_be_written_can_be_evaluated():
    assert set(vocabulary.COMMANDS) == set(evaluate.COMMANDS)
    # ihave is answered when the script is compiled.
    assert set(vocabulary.TESTS) - set(evaluate.TESTS) == {"ihave"}


def test_every_extension_that_is_asked_for_is_known():
    shapes = (*vocabulary.COMMANDS.values(), *vocabulary.TESTS.values())
    needed = {each for shape in shapes for each in shape.extensions}
    needed |= {option.extension for shape in shapes for option in shape.options.values()} - {""}
    assert needed <= set(capabilities())


def test_capabilities_are_in_one_order():
    assert len(set(capabilities())) == len(capabilities()) and capabilities()[0] == "fileinto"
    program = compile_script('require ["copy", "fileinto"]; require "date";')
    assert program.capabilities == {"copy", "fileinto", "date"}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("keep;", False),
        ('reject "no";', True),
        ('if true { if false { keep; } else { ereject "no"; } }', True),
        ('include "x";', True),  # which may refuse
        ('fileinto "reject";', False),
        ('if ihave "vnd.x" { reject "no"; }', False),
    ],
)
def test_may_refuse(script, expected):
    assert compile_script(REQUIRE_ALL + script).may_refuse is expected


@pytest.mark.parametrize(
    ("script", "column", "said"),
    [
        ("keep :flags;", 6, "is followed by"),
        ('fileinto "a" :copy;', 14, "must stand before"),
        ('fileinto ["a", "b"];', 1, "takes a string"),
        ("fileinto 3;", 1, "wrong arguments"),
        ("discard { }", 1, "neither a test nor a block"),
        ("if keep { }", 4, "no test known"),
        ("if not { }", 4, "exactly one test"),
        ("if true false { }", 4, "no test"),
        ("if allof { }", 4, "tests in parentheses"),
        ("if true; ", 1, "a block in braces"),
        ('if header :unknown "a" "b" { }', 11, '":unknown" is not known'),
        ('redirect "nobody";', 10, "is no address"),
        ('reject "";', 8, "needs a text"),
        ('if envelope "auth" "x" { }', 13, '"envelope" knows'),
        ("if size { }", 4, "size"),
        ("if size :over 9999999999999999999K { }", 15, "too large"),
        ('require "fileinto", "copy";', None, "expected"),
    ],
)
def test_errors_name_line_and_column(script, column, said):
    with pytest.raises(SieveError) as caught:
        compile_script(REQUIRE_ALL + script)
    assert said in str(caught.value) and caught.value.line == 2
    assert column in (None, caught.value.column)
