"""Enhanced status codes (RFC 2034): in every reply but the greetings, of the class of the reply."""

import re

import pytest

from tests.ingress.conftest import PASSWORD

# Each line of a reply, its code and class again in the enhanced code (RFC 2034 4).
CODED = re.compile(r"([245])\d\d[ -]\1\.\d{1,3}\.\d{1,3} ")

COMMANDS = [
    *("NOOP", "HELP", "RSET", "VRFY bob@example.test", "EXPN team", "ETRN x", "FROBNICATE", ""),
    *("RCPT TO:<bob@example.test>", "DATA", "BDAT 0", "AUTH PLAIN", "QUIT now", "HELO"),
    *("MAIL FROM:<a@", "MAIL FROM:<a@b.example> X=y", "MAIL FROM:<a@b.example> SIZE=99999999999"),
    *("MAIL FROM:<ä@b.example>", "MAIL FROM:<a@b.example> REQUIRETLS", "NOOP " + "x" * 3000),
    *("MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>", "DATA", "RCPT TO:<>", "RCPT TO:<x>"),
    *("RCPT TO:<nobody@example.test>", "RCPT TO:<dora@example.test>", "RCPT TO:<a@b.example>"),
    *("RCPT TO:<bob@example.test>", "RCPT TO:<ping@example.test>", "BDAT 0", "DATA", "BDAT 0 LAST"),
    *("STARTTLS now", "PROXY TCP4 x", "QUIT"),
]


def test_every_reply_has_its_enhanced_code(ingress, change):
    change(maxerrors=100, maxunknown=100)
    with ingress.connect() as client:
        replies = {command: client.command(command) for command in COMMANDS}
    assert _uncoded(replies) == {}


def test_those_about_passwords_and_contents_too(ingress):
    with ingress.connect("smtps") as client:
        replies = {
            "wrong": client.login("bob@example.test", "wrong"),
            "malformed": client.command("AUTH PLAIN !!!"),
            "unknown": client.command("AUTH CRAM-MD5"),
            "right": client.login("bob@example.test", PASSWORD),
            "not own": client.command("MAIL FROM:<ann@example.test>"),
            "taken": client.mail("bob@example.test", sender="bob@example.test"),
        }
    with ingress.connect() as client:
        broken = b"Subject: x\r\n\r\n8-bit: \xff\r\n"
        replies["several lines"] = client.mail("bob@example.test", content=broken)
        replies["bare"] = client.mail("bob@example.test", content=b"a\nb\r\n")
    assert _uncoded(replies) == {}


@pytest.mark.parametrize("hello", ["HELO client.example.org", "EHLO client.example.org"])
def test_greetings_and_go_aheads_have_none(ingress, hello):
    with ingress.connect(greet=False) as client:
        assert client.reply().startswith("220 mail.example.test ")
        reply = client.command(hello)
        assert [line for line in reply.splitlines() if CODED.match(line)] == []
        client.command("MAIL FROM:<a@b.example>")
        client.command("RCPT TO:<bob@example.test>")
        assert not re.match(r"354 \d", client.command("DATA"))


def _uncoded(replies: dict[str, str]) -> dict[str, str]:
    """The replies with a line that lacks its enhanced code."""
    return {
        command: reply
        for command, reply in replies.items()
        if not all(CODED.match(line) for line in reply.splitlines())
    }
