"""The header section at intake: what is completed, what is renamed, and what must stay."""

from datetime import UTC, datetime

import pytest

from mta.protocol.rewrite import RewriteError, RewriteOptions, rewrite
from tests.support.dkim_hashes import hashes
from tests.support.messages import GOOD

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
RELAYED = RewriteOptions(hostname="mail.example.test", default_domain="example.test")
SUBMITTED = RewriteOptions(
    hostname="mail.example.test",
    default_domain="example.test",
    submission=True,
    add_date=AT,
    add_message_id="<1@mail.example.test>",
)
BODY = b"\r\nbody  \r\n"


def field(line: str, options: RewriteOptions = RELAYED) -> str:
    """One field after the rewrite of a message that has a To."""
    content = f"{line}\r\nCc: x@example.org\r\n".encode("utf-8", "surrogateescape") + BODY
    rewritten = rewrite(content, options).decode("utf-8", "surrogateescape")
    return rewritten.partition("\r\nCc:")[0]


@pytest.mark.parametrize(
    "name", ["plain", "alternative", "nested", "latin1", "invitation", "delivery_report"]
)
def test_a_message_that_needs_nothing_is_the_same_object(name: str) -> None:
    assert rewrite(GOOD[name], RELAYED) is GOOD[name]
    assert rewrite(GOOD[name], SUBMITTED) is GOOD[name]


def test_date_and_message_id_are_added_where_they_are_asked_for() -> None:
    content = b"From: a@example.org\r\nTo: b@example.org\r\n"
    assert rewrite(content + BODY, RELAYED) == content + BODY
    assert rewrite(content + BODY, SUBMITTED) == (
        content + b"Date: Mon, 05 Jan 2026 09:00:00 +0000\r\n"
        b"Message-ID: <1@mail.example.test>\r\n" + BODY
    )
    present = content + b"DATE: long ago\r\nmessage-id: <x>\r\n" + BODY
    assert rewrite(present, SUBMITTED) is present


@pytest.mark.parametrize("header", [b"", b"From: a@example.org\r\n", b"Bcc: b@example.org\r\n"])
def test_recipients_that_are_not_named_are_undisclosed(header: bytes) -> None:
    assert rewrite(header + BODY, RELAYED) == (header + b"To: undisclosed-recipients: ;\r\n" + BODY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("To: bob", "To: bob@example.test"),
        ("to: bob, ann@example.org", "to: bob@example.test, ann@example.org"),
        ("From: Bob <bob>", "From: Bob <bob@example.test>"),
        (
            'Sender: "Smith, Bob" (he) <bob> (she)',
            'Sender: "Smith, Bob" (he) <bob@example.test> (she)',
        ),
        ("Reply-To: g: a, b@c;, d", "Reply-To: g: a@example.test, b@c;, d@example.test"),
        ('To: "john doe"', 'To: "john doe"@example.test'),
        ("To: john.doe (a (nested) comment)", "To: john.doe@example.test (a (nested) comment)"),
        ("To: <@a.example,@b.example:bob>", "To: <@a.example,@b.example:bob@example.test>"),
        ("To: Jürgen <x@bücher.example>", "To: Jürgen <x@xn--bcher-kva.example>"),
        ("To: x@[192.0.2.1], y", "To: x@[192.0.2.1], y@example.test"),
        ("To: a,, b@c", "To: a@example.test, , b@c"),
    ],
)
def test_addresses_are_completed(before: str, after: str) -> None:
    assert field(before) == after


@pytest.mark.parametrize(
    "line",
    [
        "To: @",
        "To:",
        "To:   odd@Example.ORG  (kept)  ",
        "To: undisclosed-recipients:;",
        "From: J. R. Smith <jr@example.org>",
        "From: x@example.org <x@example.org>",
        "To: a @ example.org",
        "Resent-To: bob",
        "X-To: bob",
    ],
)
def test_what_is_whole_stays_as_it_was_written(line: str) -> None:
    assert field(line, SUBMITTED) == line
    assert field(line) == line


def test_international_domains_stay_where_smtputf8_allows_them() -> None:
    options = RewriteOptions(hostname="h", default_domain="example.test", smtputf8=True)
    assert field("To: x@bücher.example, y", options) == "To: x@bücher.example, y@example.test"


def test_without_a_default_domain_nothing_is_completed() -> None:
    assert field("To: bob", RewriteOptions(hostname="h")) == "To: bob"


def test_long_lists_are_folded_between_addresses() -> None:
    names = ", ".join(f"Number {i} <n{i}>" for i in range(20))
    lines = field(f"To: {names}").split("\r\n")
    assert max(map(len, lines)) < 80
    assert all(line.startswith("    Number ") for line in lines[1:])
    assert "".join(lines).count("@example.test>") == 20


def test_folding_inside_of_a_name_stays() -> None:
    assert field("To: A\r\n\tB <b>,\r\n c@d") == "To: A\r\n\tB <b@example.test>, c@d"


UNREADABLE = [
    "John Doe",
    "<>",
    "a@b@c",
    "a@",
    "@b",
    "a..b@c",
    "<a",
    "a>",
    "<a@b> c",
    "<a@b> <c@d>",
    '"open',
    "(open",
    "a)",
    "g: a, b",
    "a; b",
    "[x]",
    "a@-_.example-",
    "ä@" + "x" * 300,
    "a\x07b@c",
    "x@\udcff.example",
    "x@a\u2024\u2024b",
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_lists_that_cannot_be_read(text: str) -> None:
    """Our own users are told; what others wrote passes as it is."""
    assert field(f"To: {text}") == f"To: {text}"
    with pytest.raises(RewriteError) as error:
        field(f"To: {text}", SUBMITTED)
    assert str(error.value).startswith("header field To: ")
    assert str(error.value).isascii() and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("line", "is_renamed"),
    [
        ("Authentication-Results: mail.example.test; spf=pass", True),
        ("Authentication-Results: (x) MAIL.example.test 1; spf=pass", True),
        ("Authentication-Results:\r\n mail.example.test;\r\n spf=pass", True),
        ("Authentication-Results: mail.example.test.evil.example; spf=pass", False),
        ("Authentication-Results: other.example; x=mail.example.test", False),
        ("Received-SPF: pass (x) receiver=mail.example.test;", True),
        ('Received-SPF: pass receiver="mail.example.test"', True),
        ("Received-SPF: pass (mail.example.test: domain of x)", True),
        ("Received-SPF: pass receiver=mail.example.test.other.example", False),
        ("Received-SPF: none receiver=other.example", False),
        ("X-Received-SPF: none receiver=mail.example.test", False),
    ],
)
def test_results_that_pretend_to_be_ours_are_renamed(line: str, is_renamed: bool) -> None:
    assert field(line) == ("Old-" + line if is_renamed else line)


def test_even_a_signature_does_not_save_forged_results() -> None:
    forged = "Authentication-Results: mail.example.test; dkim=pass"
    signature = "DKIM-Signature: v=1; h=from:authentication-results; b=x"
    assert field(f"{signature}\r\n{forged}") == f"{signature}\r\nOld-{forged}"


@pytest.mark.parametrize("name", ["dkim_plain", "dkim_oversigned", "dkim_mime", "list_with_arc"])
@pytest.mark.parametrize("options", [RELAYED, SUBMITTED], ids=["relayed", "submitted"])
def test_signatures_survive(name: str, options: RewriteOptions) -> None:
    assert hashes(rewrite(GOOD[name], options)) == hashes(GOOD[name]) != []


def test_a_field_that_a_signature_excludes_is_not_added() -> None:
    content = b"DKIM-Signature: v=1; h=From:To:\r\n\tDate : Message-ID; b=x\r\n" + BODY
    assert rewrite(content, SUBMITTED) is content


def test_what_no_signature_covers_is_still_completed() -> None:
    signature = "DKIM-Signature: v=1; h=from; b=x"
    assert field(f"{signature}\r\nFrom: ann\r\nTo: bob") == (
        f"{signature}\r\nFrom: ann\r\nTo: bob@example.test"
    )


def test_text_without_an_empty_line_before_it_gets_one() -> None:
    assert rewrite(b"Subject: test\r\nhello\r\nFrom: text\r\n\r\nmore\r\n", RELAYED) == (
        b"Subject: test\r\nTo: undisclosed-recipients: ;\r\n\r\nhello\r\nFrom: text\r\n\r\nmore\r\n"
    )
    assert rewrite(b"hello\r\n", RELAYED) == (b"To: undisclosed-recipients: ;\r\n\r\nhello\r\n")


@pytest.mark.parametrize("line", [b"From ann Mon Jan  5 09:00:00 2026\r\n", b">From ann\r\n"])
def test_the_separator_of_a_mailbox_file_is_dropped(line: bytes) -> None:
    content = b"To: x@y\r\n" + BODY
    assert rewrite(line + content, RELAYED) == content


def test_obsolete_space_before_a_colon_goes() -> None:
    assert field("Subject \t: a : b\r\nX-Old : c") == "Subject: a : b\r\nX-Old: c"


@pytest.mark.parametrize("content", [b"", b"\r\n", b"Subject: x", b"Subject: x\r\n"])
def test_messages_that_end_early(content: bytes) -> None:
    rewritten = rewrite(content, RELAYED)
    assert b"To: undisclosed-recipients: ;\r\n" in rewritten
    assert rewrite(rewritten, RELAYED) is rewritten


@pytest.mark.parametrize(
    "value",
    [b"(" * 200_000, b'"' + b"\\x" * 200_000, b"a," * 200_000, b"<" * 200_000, b" " * 400_000]
    + [b"\r\n x," * 100_000, b"g:" * 100_000, b"=?x?= " * 100_000, b"<a:" * 50_000],
)
def test_hostile_lists_are_read_in_time(value: bytes) -> None:
    """With work that grows faster than the size, this would not end."""
    rewrite(b"To: " + value + b"\r\n\r\n", RELAYED)
