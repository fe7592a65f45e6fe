"""ihave and error (RFC 5463)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import evaluate
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import message, words

REQUIRE = 'require ["ihave"];\n'


def done(script):
    found = evaluate(compile_script(REQUIRE + script), message())
    return [words(each) for each in found.actions], found.error


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('if ihave "fileinto" { fileinto "a"; }', ["fileinto a"]),  # 4
        ('if ihave ["fileinto", "copy"] { fileinto :copy "a"; }', ["fileinto a", "keep"]),
        ('if ihave "vnd.magic" { magic "wand"; }', ["keep"]),
        ('if ihave ["variables"] { discard; }', ["keep"]),  # 4, strings are read already
        ('if ihave ["fileinto", "vnd.magic"] { magic "wand"; } else { discard; }', ["discard"]),
        ('if allof (ihave "vnd.magic", spell :loud "x") { keep; } else { discard; }', ["discard"]),
        ('if anyof (ihave "fileinto", spell "x") { discard; }', ["discard"]),
        ('if not ihave "vnd.magic" { discard; } else { magic; }', ["discard"]),
        ('if ihave "fileinto" { fileinto "a"; } elsif spell "x" { magic; }', ["fileinto a"]),
        (
            'if allof (ihave "envelope", envelope "from" "ann@example.test") { discard; }',
            ["discard"],
        ),
    ],
)
def test_ihave(script, expected):
    assert done(script) == (expected, "")


def test_error_keeps_the_message():
    found, error = done('if not ihave "vnd.magic" { discard; error "no magic here"; }')
    assert found == ["keep"] and error == "line 2: no magic here"  # 5


@pytest.mark.parametrize(
    "script",
    ['if ihave "fileinto" { magic; }', "if true { magic; }", "if false { magic; }", "if spell { }"],
)
def test_what_does_not_hang_on_it_is_checked(script):
    with pytest.raises(SieveError, match="known here"):
        compile_script(REQUIRE + script)
