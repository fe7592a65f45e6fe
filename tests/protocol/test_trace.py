"""The Received header in all its forms."""

from datetime import UTC, datetime

import pytest

from mta.protocol import trace

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def received(**fields) -> str:
    values = {
        "helo": "client.example.org",
        "client_ip": "192.0.2.7",
        "hostname": "mail.example.test",
        "protocol": "ESMTP",
        "queue_id": "0123456789abc",
        "at": AT,
        **fields,
    }
    return trace.received(**values).decode()


def test_plain():
    assert received() == (
        "Received: from client.example.org ([192.0.2.7])\r\n"
        "    by mail.example.test (CourierWeb) with ESMTP\r\n"
        "    id 0123456789abc; Sun, 01 Mar 2026 12:30:00 +0000\r\n"
    )


def test_with_everything():
    text = received(
        client_ip="2001:db8::1",
        tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
        auth_user="bob@example.test",
        recipient="a b@x.example",
    )
    assert text == (
        "Received: from client.example.org ([IPv6:2001:db8::1])\r\n"
        "    (TLS: TLSv1.3 TLS_AES_256_GCM_SHA384, AUTH: bob@example.test)\r\n"
        "    by mail.example.test (CourierWeb) with ESMTP\r\n"
        "    id 0123456789abc\r\n"
        '    for <"a b"@x.example>; Sun, 01 Mar 2026 12:30:00 +0000\r\n'
    )


def test_mail_made_here():
    assert received(client_ip="", helo="").startswith(
        "Received: from localhost (local program)\r\n"
    )


@pytest.mark.parametrize(
    "helo", ["", "a;b", "a)b(c", "a\r\nX-Forged: yes", "<script>", "a\0b", "a b", "\\"]
)
def test_a_client_cannot_write_our_header(helo):
    lines = received(helo=helo).split("\r\n")
    assert len(lines) == 4
    name = lines[0].removeprefix("Received: from ").removesuffix(" ([192.0.2.7])")
    assert name and not set(name) & set(" ;()<>\\\r\n\0")


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("", "SMTP"),
        ("e", "ESMTP"),
        ("es", "ESMTPS"),
        ("ea", "ESMTPA"),
        ("esa", "ESMTPSA"),
        ("eu", "UTF8SMTP"),
        ("esau", "UTF8SMTPSA"),
    ],
)
def test_registered_names(flags, name):
    assert name == trace.with_protocol(
        esmtp="e" in flags, tls="s" in flags, authenticated="a" in flags, smtputf8="u" in flags
    )
