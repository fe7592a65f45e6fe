"""ESMTP parameters of MAIL and RCPT."""

import pytest

from mta.protocol.parameters import (
    MailParameters,
    ParameterError,
    RcptParameters,
    parse_mail,
    parse_rcpt,
)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", MailParameters()),
        ("SIZE=0", MailParameters()),
        ("size=12345 body=8bitmime", MailParameters(size=12345, body="8BITMIME")),
        ("SMTPUTF8", MailParameters(smtputf8=True)),
        ("RET=hdrs ENVID=a+3Db+2Bc", MailParameters(ret="HDRS", envid="a=b+c")),
        ("AUTH=<>", MailParameters(auth="<>")),
        ("AUTH=a@b.example", MailParameters(auth="a@b.example")),
        ("VERP", MailParameters(verp=True)),
        ("exdata requiretls", MailParameters(exdata=True, requiretls=True)),
        ("PRDR BODY=7BIT", MailParameters(prdr=True, body="7BIT")),
        ("SIZE=99999999999999999999", MailParameters(size=99999999999999999999)),
    ],
)
def test_mail(text, parameters):
    assert parse_mail(text) == parameters


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("", RcptParameters()),
        ("NOTIFY=never", RcptParameters("NEVER")),
        ("notify=Success,DELAY", RcptParameters("SUCCESS,DELAY")),
        ("ORCPT=rfc822;a+2Bb@x.example", RcptParameters("", "rfc822;a+b@x.example")),
        ("ORCPT=RFC822;x", RcptParameters("", "rfc822;x")),
        (r"ORCPT=utf-8;\x{E4}@x.example", RcptParameters("", "utf-8;ä@x.example")),
        ("ORCPT=utf-8;ä@x.example", RcptParameters("", "utf-8;ä@x.example")),
    ],
)
def test_rcpt(text, parameters):
    assert parse_rcpt(text) == parameters


@pytest.mark.parametrize(
    "text",
    [
        "SIZE",
        "SIZE=",
        "SIZE=-1",
        "SIZE=+5",
        "SIZE=1e3",
        "SIZE=\u0661",
        "SIZE=" + "9" * 21,
        "SIZE=1 SIZE=1",
        "BODY",
        "BODY=9BIT",
        "SMTPUTF8=yes",
        "VERP=+=",
        "EXDATA=1",
        "PRDR=yes",
        "REQUIRETLS=1",
        "VERP VERP",
        "EXDATA PRDR",
        "BODY=BINARYMIME",
        "RET=ALL",
        "RET",
        "ENVID=",
        "ENVID=+",
        "ENVID=+4",
        "ENVID=+0D+0A",
        "ENVID=+00",
        "ENVID=+FF",
        "ENVID=" + "x" * 101,
        "=5",
        "-X=1",
        "A_B=1",
    ],
)
def test_malformed_mail(text):
    with pytest.raises(ParameterError) as error:
        parse_mail(text)
    assert not error.value.unknown


@pytest.mark.parametrize(
    "text",
    [
        "NOTIFY",
        "NOTIFY=",
        "NOTIFY=NEVER,FAILURE",
        "NOTIFY=SUCCESS,SUCCESS",
        "NOTIFY=SUCCESS,",
        "NOTIFY=SOMETIMES",
        "ORCPT=x@y.example",
        "ORCPT=;x",
        "ORCPT=rfc822;",
        "ORCPT=rfc822;+0A",
        r"ORCPT=utf-8;\x{D800}",
        r"ORCPT=utf-8;\x{110000}",
        r"ORCPT=utf-8;\x{0A}",
        "ORCPT=rfc822;" + "x" * 501,
    ],
)
def test_malformed_rcpt(text):
    with pytest.raises(ParameterError) as error:
        parse_rcpt(text)
    assert not error.value.unknown


@pytest.mark.parametrize("parse", [parse_mail, parse_rcpt])
def test_what_we_do_not_know_is_told_apart(parse):
    with pytest.raises(ParameterError) as error:
        parse("XYZZY=1")
    assert error.value.unknown
