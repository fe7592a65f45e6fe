"""The mbox form (spec 3.8)."""

import pytest

from mta.protocol import mbox


@pytest.mark.parametrize(
    ("reverse_path", "expected"),
    [
        ("ann@example.org", "From ann@example.org Tue Nov 14 22:13:20 2023"),
        ("", "From MAILER-DAEMON Tue Nov 14 22:13:20 2023"),
        ("a b\n@example.org", "From a_b_@example.org Tue Nov 14 22:13:20 2023"),
    ],
)
def test_from_line(reverse_path, expected):
    assert mbox.from_line(reverse_path, 1_700_000_000) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a\n\nFrom me\n>From me\n>>From x\n", b"a\n\n>From me\n>>From me\n>>>From x\n"),
        (b"From: me\n\nFromage From me\n", b"From: me\n\nFromage From me\n"),
        (b"no end", b"no end\n"),
        (b"", b"\n"),
    ],
)
def test_quoting(text, expected):
    assert mbox.quoted(text) == expected
