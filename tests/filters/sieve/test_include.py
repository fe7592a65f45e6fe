"""include, return and global (RFC 6609)."""

import pytest

from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Budget, Surroundings
from mta.filters.sieve.syntax import SieveError
from tests.support.sieve import REQUIRE_ALL, done, failure, result


def shelf(**scripts):
    """Personal scripts by name; those whose names begin with "site_" are global."""

    def script(where, name):
        key = f"site_{name}" if where == "global" else name
        return compile_script(REQUIRE_ALL + scripts[key]) if key in scripts else None

    return Surroundings(script=script)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('include "a"; fileinto "z";', ["fileinto a", "fileinto z"]),  # 3.2
        ('include :personal "a";', ["fileinto a"]),
        ('include :global "a";', ["fileinto site"]),
        ('include :once "a"; include :once "a";', ["fileinto a"]),
        ('include :optional "none";', ["keep"]),
        ('include "back"; fileinto "z";', ["fileinto b", "fileinto z"]),  # 3.3
        ('return; fileinto "z";', ["keep"]),
        ('include "halt"; fileinto "z";', ["keep"]),  # stop ends everything
        ('include "own"; fileinto "x${v}";', ["fileinto x"]),  # 3.4, variables are its own
        ('global "v"; include "shares"; fileinto "x${v}";', ["fileinto x1"]),  # 3.4.1
        ('include "shares"; global "v"; fileinto "x${v}";', ["fileinto x1"]),
        ('include "writes"; fileinto "x${global.w}";', ["fileinto x2"]),  # 3.4.2
    ],
)
def test_include(script, expected):
    scripts = shelf(
        a='fileinto "a";',
        site_a='fileinto "site";',
        back='fileinto "b"; if true { return; } fileinto "c";',
        halt="stop;",
        own='set "v" "1";',
        shares='global "v"; set "v" "1";',
        writes='set "global.w" "2";',
    )
    assert done(script, surroundings=scripts) == expected


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('include "none";', "there is no personal script 'none'"),
        ('include "self";', "includes itself"),
        ('include "ping";', "includes itself"),
        ('include "d0";', "more than 8 deep"),
        ('include "broken";', "cannot be used: line 2, column 1"),
        ('include "fails";', "in the personal script 'fails': line 2: no"),
        ('include "leaf";' * 51, "more than 50 scripts"),
    ],
)
def test_what_fails_keeps_the_message(script, said):
    deep = {f"d{n}": f'include "d{n + 1}";' for n in range(20)}
    scripts = shelf(
        self='include "self";',
        ping='include "pong";',
        pong='include "ping";',
        broken="frobnicate;",
        fails='discard; error "no";',
        leaf="",
        **deep,
    )
    assert said in failure(script, surroundings=scripts)


def test_all_scripts_share_one_budget():
    scripts = shelf(many='set "a" "b";' * 100)
    assert "steps" in failure('include "many";' * 5, surroundings=scripts, budget=Budget(steps=300))


def test_the_trace_says_which_script_it_was():
    found = result('include "a";', surroundings=shelf(a="\ndiscard;"))
    assert (3, "[personal a] discard") in [(each.line, each.text) for each in found.trace]


@pytest.mark.parametrize("name", ["", "a/b", "${v}", "a\nb"])
def test_names(name):
    with pytest.raises(SieveError, match="no name of a script"):
        compile_script(f'{REQUIRE_ALL}include "{name}";')
