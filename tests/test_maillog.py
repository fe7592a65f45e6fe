"""No value can forge a line or a key of the mail log."""

import logging

import pytest

from mta import maillog


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="mta.maillog")
    return lambda: [record.getMessage() for record in caplog.records]


def test_an_accepted_message_is_one_line_of_keys_and_values(lines):
    maillog.accepted("0abc", "192.0.2.7", "client", "", 2, 512)
    assert lines() == [
        "accepted id=0abc client=192.0.2.7 helo=client sender=<> recipients=2 size=512"
    ]


@pytest.mark.parametrize(
    ("address", "logged"),
    [
        ("a\r\nbounced id=1", r'"a\r\nbounced id=1"'),
        ("a id=forged", '"a id=forged"'),
        ('"a b"@x.test', r'"\"a b\"@x.test"'),
        ("a=b@x.test", '"a=b@x.test"'),
        ("\x1b[31mred", r'"\x1b[31mred"'),
        ("a\\n", r'"a\\n"'),
        ("b\u00f6b@x.test", '"b\u00f6b@x.test"'),
        ("\u202eabc", r'"\u202eabc"'),
        ("\udcff", r'"\udcff"'),
        ("%s %d", '"%s %d"'),
        ("", '""'),
    ],
)
def test_hostile_values_are_quoted(lines, address, logged):
    maillog.bounced("0abc", address, "local", "", "550 no")
    (line,) = lines()
    assert line == (f'bounced id=0abc to={logged} transport=local remote="" reply="550 no"')


def test_a_long_value_is_cut(lines):
    maillog.broker_unreachable("x" * 10_000)
    assert len(lines()[0]) < 1000


def test_trouble_is_a_warning(caplog):
    maillog.lease_expired(7)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "lease_expired recipient=7"
