"""The Received-SPF header: for people, for the RFC's readers, and for filters made for Courier."""

import re
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.received_spf import received_spf
from mta.protocol.spf import Identity, Result, SpfResult

PASS = SpfResult(
    Identity.MAILFROM,
    Result.PASS,
    "example.org",
    "user@example.org",
    "192.0.2.1",
    mechanism="ip4:192.0.2.0/24",
)


def header(result: SpfResult = PASS, **more: str) -> bytes:
    facts = {
        "reverse_path": "user@example.org",
        "helo": "mail.example.org",
        "remote_host": "mail.example.org",
        "hostname": "mx.test",
        **more,
    }
    return received_spf(result, **facts)


def value(raw: bytes) -> str:
    """As a mail program reads it."""
    return str(message_from_bytes(raw + b"\r\n", policy=default)["Received-SPF"])


def test_the_whole_header() -> None:
    assert header().decode().split("\r\n") == [
        "Received-SPF: pass (mx.test: example.org permits 192.0.2.1 to send its mail)",
        "    identity=mailfrom;",
        "    SPF=MAILFROM;",
        "    client-ip=192.0.2.1;",
        '    envelope-from="user@example.org";',
        "    helo=mail.example.org;",
        "    receiver=mx.test;",
        '    mechanism="ip4:192.0.2.0/24";',
        '    sender="user@example.org";',
        "    remoteip=192.0.2.1;",
        "    remotehost=mail.example.org",
        "",
    ]


@pytest.mark.parametrize("identity", Identity)
@pytest.mark.parametrize("outcome", Result)
def test_every_result_of_every_identity(identity: Identity, outcome: Result) -> None:
    raw = header(SpfResult(identity, outcome, "example.org", "u@example.org", "2001:db8::1"))
    assert value(raw).startswith(f"{outcome} (")
    assert f"identity={identity};" in value(raw)
    assert f"SPF={identity.upper()};" in value(raw)
    assert 'client-ip="2001:db8::1";' in value(raw)


def test_the_null_reverse_path_and_an_unknown_host() -> None:
    text = value(header(reverse_path="", remote_host=""))
    assert 'envelope-from="";' in text
    assert "remotehost" not in text


def test_a_problem_is_named() -> None:
    result = SpfResult(
        Identity.HELO, Result.PERMERROR, "h.example", "", "192.0.2.1", problem="'a(b' is wrong"
    )
    text = value(header(result))
    assert r"error in the SPF record of h.example: 'a\(b' is wrong)" in text
    assert "problem=\"'a(b' is wrong\";" in text


def test_international_names_stand_in_ascii() -> None:
    text = value(header(reverse_path="j\u00f6rg@b\u00fccher.example", helo="b\u00fccher.example"))
    assert 'envelope-from="j?rg@xn--bcher-kva.example";' in text
    assert "helo=xn--bcher-kva.example;" in text


def test_a_client_cannot_add_a_pair_or_a_header() -> None:
    helo = 'x"; SPF=HELO\r\nReceived-SPF: pass (\\'
    raw = header(helo=helo)
    assert raw.count(b"\r\nReceived-SPF") == 0
    assert r'helo="x\"  SPF=HELO??Received-SPF: pass (\\";' in value(raw)


PAIR = re.compile(r'    [a-zA-Z-]+=(?:[A-Za-z0-9_.-]+|"(?:[^"\\;]|\\["\\])*");?\Z')


@given(helo=st.text(max_size=2000), path=st.text(max_size=2000), host=st.text(), why=st.text())
def test_whatever_the_client_says_it_is_one_wellformed_header(
    helo: str, path: str, host: str, why: str
) -> None:
    result = SpfResult(
        Identity.FROM, Result.TEMPERROR, helo, path, "192.0.2.1", mechanism=why, problem=why
    )
    raw = header(result, helo=helo, reverse_path=path, remote_host=host)
    first, *pairs, last = raw.decode("ascii").split("\r\n")
    assert first.startswith("Received-SPF: temperror (")
    assert first.endswith(")")
    assert last == ""
    assert all(PAIR.match(pair) for pair in pairs)
    assert all(len(line) <= 998 and line.isprintable() for line in [first, *pairs])
