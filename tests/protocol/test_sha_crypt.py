"""Passwords of crypt(3): these were made by the C library."""

import pytest

from mta.protocol import sha_crypt

KNOWN = [
    (
        "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnI"
        "FNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    (
        "we have a short salt string but not a short password" * 2,
        "$6$rounds=1400$short$4CWgexmOWnCQ//KsIrlKzl1x0x2uB8/IErsezyN"
        "C7TNVCfhwEnVyUKpnhntlvPi0lA.OjuKsWfOe/oZYm/S3m0",
    ),
    ("näme", "$5$rounds=1000$./$rg.X5nYntsOHUVOut6TvQ2P6aMBn2mbRgON2oXNMFd3"),
    (
        "",
        "$6$a$Z6IPkDduHdwavesVY2NFMpOHkigshxPYdhfLg0D3A7/XFQcso9RV2E8"
        "qczyJ2su.dj6RRLaTpvgwN1rZfK0I9.",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$5$abcdefghijklmnop$J3/eHvHaDqtlpedzeXC4LYj7z5vweELBYLkseqI.9U7",
    ),
]


@pytest.mark.parametrize(("password", "text"), KNOWN)
def test_the_password_and_no_other(password, text):
    assert sha_crypt.is_readable(text)
    assert sha_crypt.verify(password, text)
    assert not sha_crypt.verify(password + "x", text)
    assert not sha_crypt.verify(password, text[:-1] + ("a" if text[-1] != "a" else "b"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ab1cPzXFs0rTg",
        "$1$abc$uC0hJl0kGrkcDs4pMXOQo/",
        "$2b$12$" + "a" * 53,
        "$y$j9T$salt$" + "a" * 43,
        "$6$salt$short",
        "$5$salt$" + "a" * 86,
        "$6$rounds=999999999$salt$" + "a" * 86,
        "!$6$salt$" + "a" * 86,
    ],
)
def test_what_cannot_be_read_is_nobodys_password(text):
    assert not sha_crypt.is_readable(text)
    assert not sha_crypt.verify("", text)
