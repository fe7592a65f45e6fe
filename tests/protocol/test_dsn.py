"""Delivery reports: read back with the email package as a recipient's software would."""

import dataclasses
import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import dsn
from mta.protocol.dsn import Action, RecipientReport, Report
from mta.protocol.envelope import Source
from mta.protocol.reply import Reply
from mta.transports import dsn as reports

CONTENT = (
    b"From: Ann <ann@example.com>\r\nTo: bob@example.org\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <one@example.com>\r\n\r\nHello Bob\r\n"
)
ARRIVED = 1_700_000_000.0
REFUSED = Reply(550, "5.1.1", "no such user\nask bob's host")


def recipient(action: Action = Action.FAILED, **facts) -> RecipientReport:
    return RecipientReport(
        **{"address": "bob@example.org", "action": action, "reply": REFUSED, **facts}
    )


def report(*recipients: RecipientReport, **facts) -> Report:
    defaults = {
        "hostname": "mail.example.test",
        "queue_id": "0123456789abc",
        "reverse_path": "ann@example.com",
        "arrived_at": ARRIVED,
        "made_at": ARRIVED + 60,
        "content": CONTENT,
        "recipients": recipients or (recipient(),),
    }
    return Report(**{**defaults, **facts})


def parse(content: bytes) -> EmailMessage:
    """The message read strictly: a defect anywhere in our own structure is an error."""
    assert b"\x00" not in content
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert len(list(message.iter_parts())) == 3
    return message


def rendered(of: Report, **options) -> EmailMessage:
    return parse(dsn.render(of, of.reverse_path or of.postmaster, **options).content)


def parts(of: Report, **options) -> list[EmailMessage]:
    return list(rendered(of, **options).iter_parts())


def fields(of: Report) -> list[EmailMessage]:
    """The field groups of the second part: first that of the message, then one per recipient."""
    groups = parts(of)[1].get_payload()
    assert isinstance(groups, list)
    return groups


def words(of: Report, **options) -> str:
    return parts(of, **options)[0].get_content()


def test_header():
    message = rendered(report())
    assert message["From"] == "Mail Delivery System <postmaster@mail.example.test>"
    assert message["To"].addresses[0].addr_spec == "ann@example.com"
    assert message["Subject"] == "Your message could not be delivered"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["MIME-Version"] == "1.0"
    assert message["In-Reply-To"] == message["References"] == "<one@example.com>"
    assert message["Date"].datetime.timestamp() == ARRIVED + 60
    assert message["Message-ID"].endswith("@mail.example.test>")
    assert message.get_param("report-type") == "delivery-status"


def test_fields_for_programs():
    facts = recipient(
        original_recipient="rfc822;Robert@example.net",
        remote="mx.example.org [192.0.2.1]",
        attempted_at=ARRIVED + 50,
    )
    about, one = fields(
        report(facts, envid="QQ314159", received_from="dns; client.example ([192.0.2.9])")
    )
    assert about["Reporting-MTA"] == "dns; mail.example.test"
    assert about["Original-Envelope-Id"] == "QQ314159"
    assert about["Received-From-MTA"] == "dns; client.example ([192.0.2.9])"
    assert about["Arrival-Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert one["Original-Recipient"] == "rfc822; Robert@example.net"
    assert one["Final-Recipient"] == "rfc822; bob@example.org"
    assert one["Action"] == "failed"
    assert one["Status"] == "5.1.1"
    assert one["Remote-MTA"] == "dns; mx.example.org (192.0.2.1)"
    assert one["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user ask bob's host"
    assert one["Last-Attempt-Date"] == "Tue, 14 Nov 2023 22:14:10 +0000"
    assert one["Will-Retry-Until"] is None


def test_words_for_people():
    facts = recipient(
        original_recipient="rfc822;Robert@example.net",
        remote="mx.example.org [192.0.2.1]",
        command="RCPT TO:<bob@example.org>",
    )
    text = words(report(facts))
    assert "Grüße" in text
    assert "Robert@example.net" in text
    assert "mx.example.org [192.0.2.1] answered to RCPT TO:<bob@example.org>:" in text
    assert "550 5.1.1 no such user" in text
    assert "typing error" in text


def test_several_actions_in_one_report():
    facts = report(
        recipient(Action.FAILED, address="f@example.org"),
        recipient(Action.DELIVERED, address="d@example.org", reply=Reply(250, "2.0.0", "ok")),
        recipient(Action.RELAYED, address="r@example.org", reply=Reply(250, "", "ok")),
        recipient(Action.EXPANDED, address="e@example.org", reply=Reply(250, "", "ok")),
    )
    assert [(group["Action"], group["Status"]) for group in fields(facts)[1:]] == [
        ("failed", "5.1.1"),
        ("delivered", "2.0.0"),
        ("relayed", "2.0.0"),
        ("expanded", "2.0.0"),
    ]
    text = words(facts)
    order = [text.index(f"{letter}@example.org") for letter in "dref"]
    assert order == sorted(order)


def test_delay_warning():
    facts = report(
        recipient(
            Action.DELAYED,
            reply=Reply(451, "", "try later"),
            will_retry_until=ARRIVED + 7 * 86400,
        )
    )
    assert rendered(facts)["Subject"] == "Your message is delayed"
    (_, one) = fields(facts)
    assert (one["Action"], one["Status"]) == ("delayed", "4.0.0")
    assert one["Will-Retry-Until"] == "Tue, 21 Nov 2023 22:13:20 +0000"
    assert "do not send it again" in words(facts).replace("\n", " ")
    assert parts(facts)[2].get_content_type() == "text/rfc822-headers"


def test_expired_mail_says_so_and_quotes_the_last_answer():
    facts = report(recipient(expired=True, reply=Reply(451, "4.4.1", "connection timed out")))
    (_, one) = fields(facts)
    assert one["Status"] == "5.4.7"
    assert one["Diagnostic-Code"] == "X-CourierWeb; 451 4.4.1 connection timed out"
    assert "all the time that was allowed" in words(facts).replace("\n", " ")


# The third part


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({}, "message/rfc822"),
        ({"ret": "FULL"}, "message/rfc822"),
        ({"ret": "HDRS"}, "text/rfc822-headers"),
        ({"limit": len(CONTENT)}, "text/rfc822-headers"),
        ({"limit": len(CONTENT) + 1}, "message/rfc822"),
        ({"recipients": (recipient(Action.DELIVERED),)}, "text/rfc822-headers"),
        ({"recipients": (recipient(Action.DELIVERED), recipient())}, "message/rfc822"),
    ],
)
def test_how_much_of_the_message_comes_back(facts, kind):
    assert parts(report(**facts))[2].get_content_type() == kind


def test_returned_message_is_the_one_that_was_sent():
    returned = parts(report())[2].get_content()
    assert returned["Message-ID"] == "<one@example.com>"
    assert returned.get_content().splitlines() == ["Hello Bob"]


def test_returned_header_has_nothing_of_the_body():
    text = parts(report(ret="HDRS"))[2].get_content()
    assert "Message-ID: <one@example.com>" in text.replace("\r", "")
    assert "Hello" not in text


def test_double_bounce_returns_all():
    big = CONTENT + b"x\r\n" * (dsn.DSN_LIMIT // 2)
    facts = report(reverse_path="", content=big, ret="HDRS")
    message = rendered(facts, double_bounce=True)
    assert message["To"].addresses[0].addr_spec == "postmaster@mail.example.test"
    assert list(message.iter_parts())[2].get_content_type() == "message/rfc822"


HOSTILE = [
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"no header at all",
    b"Subject: no header end",
    b"Subject: no header end\r\n",
    b"From mbox Sun Nov 22\r\nSubject: x\r\n\r\n",
    b"Subject: bare\nline\rends\r\r\n\n\rbody\n.\n",
    b"Subject: \xff\xfe 8-bit\r\n\r\n\xff\r\n",
    b"Subject: utf-8 \xc3\xbc\r\n\r\nbody\r\n",
    b"Subject: n\x00l\r\n\r\n\x00\x00\r\n",
    b"Subject: =?utf-8?b?a?= =?nosuch?q?x?= =?utf-8?q?=0D=0ABcc:=20x?=\r\n\r\n",
    b"Message-ID: <a b@c>\r\nSubject:\r\n\r\n",
    b"Message-ID: <" + b"i" * 900 + b"@c>\r\n\r\n",
    b"X: " + b"h" * 100_000 + b"\r\n\r\n" + b"b" * 100_000 + b"\r\n",
    b"A: b\r\n" * 60_000,
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
    b"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" * 50,
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(
    "facts", [{"limit": 1 << 30}, {"ret": "HDRS"}, {"smtputf8": True}], ids=str
)
def test_hostile_message_makes_a_valid_report(content, facts):
    rendered(report(content=content, **facts))


def test_long_lines_are_cut_and_nothing_is_lost():
    body = b"short\r\n" + b"x" * 2500 + b"\r\n\r\n" + b"y" * 998 + b"\r\n" + b"z" * 999
    content = b"Subject: " + b"s" * 1500 + b"\r\nTo: bob@example.org\r\n\r\n" + body
    returned = parts(report(content=content))[2].get_content()
    assert returned["To"] == "bob@example.org"
    assert returned["Subject"].replace(" ", "") == "s" * 1500
    text = returned.get_payload(decode=True)
    assert text.replace(b"\r\n", b"").replace(b"\n", b"") == body.replace(b"\r\n", b"")


def test_huge_message_makes_a_small_report():
    content = b"Subject: big\r\n\r\n" + b"x" * (50 << 20)
    assert len(dsn.render(report(content=content), "ann@example.com").content) < 5_000


def test_boundary_is_nowhere_in_the_message():
    first = rendered(report()).get_boundary()
    content = CONTENT + b"--" + first.encode() + b"--\r\n"
    second = rendered(report(content=content)).get_boundary()
    assert second != first


@given(
    st.binary(max_size=400)
    | st.lists(
        st.sampled_from(
            [
                b"Subject: x",
                b"\r\n",
                b"\n",
                b"\r",
                b" folded",
                b"--",
                b"\xe9",
                b"\x00",
                b":",
                b"a" * 999,
            ]
        ),
        max_size=30,
    ).map(b"".join),
    st.text(max_size=60),
    st.text(max_size=60),
    st.sampled_from(["", "FULL", "HDRS"]),
    st.booleans(),
)
def test_any_message_and_any_facts_make_a_valid_report(content, text, envid, ret, smtputf8):
    facts = recipient(
        address=f"{text or 'x'}@example.org",
        reply=Reply(550, "", text),
        original_recipient=f"rfc822;{text}",
        remote=text,
        command=text,
    )
    of = report(facts, content=content, envid=envid, ret=ret, smtputf8=smtputf8)
    message = rendered(of)
    groups = list(message.iter_parts())[1]
    assert groups.get_content_type().startswith("message/")
    assert message["Bcc"] is None


@pytest.mark.parametrize("smtputf8", [False, True])
def test_long_texts_stay_within_line_limits(smtputf8):
    facts = recipient(
        address="ü" * 100 + "@example.org",
        reply=Reply(550, "5.0.0", "ü" * 5000),
        original_recipient="utf-8;" + "漢" * 480,
        command="x" * 4000,
        remote="y" * 300,
    )
    rendered(report(facts, smtputf8=smtputf8))


# International mail (RFC 6533)


def test_international_addresses_use_the_global_types():
    facts = report(
        recipient(address="jörg@example.org"),
        reverse_path="änne@example.com",
        content="Subject: Grüße\r\n\r\nHallo\r\n".encode(),
        smtputf8=True,
    )
    rendering = dsn.render(facts, facts.reverse_path)
    assert rendering.smtputf8
    message = parse(rendering.content)
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global"]
    assert message.get_param("report-type") == "global-delivery-status"
    assert "Final-Recipient: utf-8; jörg@example.org".encode() in rendering.content
    headers_only = dsn.render(dataclasses.replace(facts, ret="HDRS"), facts.reverse_path)
    assert b"Content-Type: message/global-headers" in headers_only.content


def test_ascii_addresses_need_no_global_types():
    facts = report(smtputf8=True)
    rendering = dsn.render(facts, facts.reverse_path)
    assert not rendering.smtputf8
    assert b"message/global" not in rendering.content


def test_eight_bit_header_without_smtputf8_comes_back_as_it_is():
    part = parts(report(content=b"Subject: \xe9\r\n\r\n", ret="HDRS"))[2]
    assert part["Content-Transfer-Encoding"] == "8bit"
    assert part.get_content_charset() == "unknown-8bit"


# Who is told


def test_sender_is_told():
    composed = reports.compose(report())
    assert composed is not None
    envelope, content = composed
    assert (envelope.reverse_path, envelope.source) == ("", Source.DSN)
    assert [each.address for each in envelope.recipients] == ["ann@example.com"]
    assert envelope.recipients[0].notify != "NEVER", "a report that fails is a double bounce"
    assert parse(content)["To"].addresses[0].addr_spec == "ann@example.com"


def test_failed_report_goes_to_the_postmaster():
    facts = report(recipient(), recipient(Action.DELAYED, address="c@example.org"), reverse_path="")
    composed = reports.compose(facts)
    assert composed is not None
    envelope, content = composed
    assert envelope.reverse_path == "#@[]"
    assert [(each.address, each.notify) for each in envelope.recipients] == [
        ("postmaster@mail.example.test", "NEVER")
    ]
    message = parse(content)
    assert message["Subject"] == "A message without a return address could not be delivered"
    assert b"c@example.org" not in content


@pytest.mark.parametrize(
    "facts",
    [
        {"reverse_path": "", "recipients": (recipient(Action.DELAYED),)},
        {"reverse_path": "", "recipients": (recipient(Action.DELIVERED),)},
        {"reverse_path": "#@[]"},
        {"reverse_path": "#@[]", "recipients": (recipient(Action.DELAYED),)},
        {"recipients": ()},
    ],
)
def test_nobody_is_told(facts):
    of = dataclasses.replace(report(), **facts)
    assert reports.compose(of) is None
