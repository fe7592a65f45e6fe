"""Flags (RFC 5232)."""

import pytest

from tests.support.sieve import done, holds


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('setflag "\\\\Seen"; keep;', ["keep [\\Seen]"]),  # 3.1
        (
            'setflag ["\\\\Seen", "\\\\Flagged"];',
            ["keep [\\Seen \\Flagged]"],
        ),  # 2, implicit keep too
        ('setflag "a b"; addflag "c A"; keep;', ["keep [a b c]"]),  # 3.2, 2
        ('setflag "a b c"; removeflag ["B", "c"]; keep;', ["keep [a]"]),  # 3.3
        ('setflag "a"; fileinto "x"; setflag "b"; keep;', ["fileinto x [a]", "keep [b]"]),
        ('setflag "a"; fileinto :flags "b c" "x";', ["fileinto x [b c]"]),  # 5
        ('keep :flags ["\\\\Deleted"];', ["keep [\\Deleted]"]),
        ('setflag "a"; setflag ""; keep;', ["keep"]),
        ('setflag "v" ["x", "y"]; keep :flags "${v}";', ["keep [x y]"]),  # 2, a variable
        ('set "v" "x y"; addflag "v" "z"; fileinto :flags "${v}" "f";', ["fileinto f [x y z]"]),
        ('setflag "\\\\Recent ok not(this {nor} ü"; keep;', ["keep [ok]"]),  # what IMAP cannot set
        ('keep; keep :flags "a";', ["keep [a]"]),
    ],
)
def test_actions(script, expected):
    assert done(script) == expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ('hasflag "A"', True),  # 4
        ('hasflag ["c", "b"]', True),
        ('hasflag "c b"', True),  # 4, the same
        ('hasflag "a b"', True),
        ('hasflag :contains "v" "ee"', True),
        ('hasflag :matches ["v", "w"] "*wn"', True),
        ('hasflag "v" "a"', False),
        ('hasflag :count "ge" :comparator "i;ascii-numeric" "2"', True),
        ('hasflag :count "eq" ["v", "w"] "3"', True),
    ],
)
def test_hasflag(test, expected):
    before = 'setflag "a b"; setflag "v" "green red"; setflag "w" "brown";'
    assert holds(test, before=before) is expected


def test_flags_without_end_are_cut():
    (keep,) = done("setflag [" + ",".join(f'"f{n}"' for n in range(5000)) + "];")
    assert keep.count(" ") == 32
