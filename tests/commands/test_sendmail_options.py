"""The command line of sendmail, as programs write it."""

import pytest

from mta.management.sendmail_options import Options, UsageError, parse_options


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], Options()),
        (["-t", "-i", "-oi", "-oem", "-bm", "-q15m", "-v"], Options()),
        (["-f", "a@b.test", "bob"], Options(sender="a@b.test", recipients=("bob",))),
        (["-fa@b.test", "bob"], Options(sender="a@b.test", recipients=("bob",))),
        (["-ra@b.test"], Options(sender="a@b.test")),
        (["-f", ""], Options(sender="")),
        (["-f", "<>"], Options(sender="")),
        (["-F", "Ann Lee"], Options(full_name="Ann Lee")),
        (["-Nsuccess,fail,delay"], Options(notify="SUCCESS,FAILURE,DELAY")),
        (["-N", "never"], Options(notify="NEVER")),
        (["-R", "hdrs", "-V", "id1"], Options(ret="HDRS", envid="id1")),
        (["-bcc"], Options(bcc_only=True)),
        (["-n"], Options(print_only=True)),
        (["-B8BITMIME", "-L", "tag", "bob"], Options(recipients=("bob",))),
        (["-S", "none"], Options()),
        (["--", "-f", "-x"], Options(recipients=("-f", "-x"))),
    ],
)
def test_what_is_understood(arguments, options):
    assert parse_options(arguments) == options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-bs"], "SMTP port"),
        (["-bp"], "mailq"),
        (["-bz"], "no such option"),
        (["-Z"], "no such option"),
        (["--help"], "no such option"),
        (["-f"], "value is missing"),
        (["-N", "sometimes"], "-N sometimes"),
        (["-N", "never,fail"], "never stands alone"),
        (["-R", "half"], "full or hdrs"),
        (["-V", "two words"], "printable"),
        (["-V", "x" * 101], "printable"),
        (["-S", "STARTTLS"], "not available"),
    ],
)
def test_what_is_refused_says_why(arguments, words):
    with pytest.raises(UsageError, match=words):
        parse_options(arguments)
