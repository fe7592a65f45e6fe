"""What the queue and the policy read of a header section; hostile mail raises nothing."""

import tracemalloc

import pytest

from mta.protocol import headers


def test_facts():
    facts = headers.scan(
        b"Received: a\r\n b\r\nrEceived: c\r\nMessage-ID: <1@x>\r\nSubject: two\r\n lines\r\n\r\n"
        b"Received: in the body\r\n"
    )
    assert (facts.hops, facts.message_id, facts.subject) == (2, "<1@x>", "two lines")
    assert not facts.eight_bit
    assert facts.size == len(b"Received: a\r\n b\r\nrEceived: c\r\nMessage-ID: <1@x>\r\n") + len(
        b"Subject: two\r\n lines\r\n"
    )


@pytest.mark.parametrize(
    ("header", "lines", "fields", "longest", "nul"),
    [
        (b"", 0, 0, 0, False),
        (b"A: b\r\n", 1, 1, 4, False),
        (b"A: b", 1, 1, 4, False),
        (b"A: b\r\n c\r\n\tde\r\nF: g\r\n", 4, 2, 4, False),
        (b"A: b\x00\r\n" + b"x" * 1000 + b"\r\n", 2, 2, 1000, True),
    ],
)
def test_lines_of_a_header(header, lines, fields, longest, nul):
    for content in (header, header + b"\r\nbody\x00\r\n" if header[-1:] == b"\n" else header):
        facts = headers.scan(content)
        assert (facts.lines, facts.fields) == (lines, fields)
        assert (facts.longest_line, facts.has_nul) == (longest, nul)


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (b"", 0),
        (b"\r\nbody\r\n", 0),
        (b"A: b\r\n\r\nbody\r\n", 6),
        (b"A: b\r\n", 6),
        (b"A: b", 4),
        (b"A: b\n\nbody\r\n", 12),
    ],
)
def test_where_the_header_ends(content, end):
    assert headers.header_end(content) == end


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?b?4pyT?= =?iso-8859-1?q?=E4?=", "✓ä"),
        (b"=?unknown-charset?q?x?=", "=?unknown-charset?q?x?="),
        (b"=?utf-8?b?!!!?=", None),
        ("Grüße".encode(), "Grüße"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"a\x00b\x1b[2Jc", "a b [2Jc"),
        (b"=?utf-8?q?a=00b=0D=0AX:y?=", None),
        (b"", ""),
        (b"x" * 5000, "x" * 500),
    ],
)
def test_subjects_for_people(value, subject):
    found = headers.scan(b"Subject: " + value + b"\r\n\r\n").subject
    if subject is not None:
        assert found == subject
    assert found.isprintable() and len(found) <= 500


@pytest.mark.parametrize(
    ("line", "message_id"),
    [
        (b"Message-ID: <a@b>", "<a@b>"),
        (b"message-id:<a@b> (comment)", "<a@b>"),
        (b"Message-ID:\r\n <folded@b>", "<folded@b>"),
        (b"Message-ID: none", ""),
        (b"Message-ID: <" + b"x" * 501 + b">", ""),
        (b"Message-ID: <\x00\xff@b>", "< \ufffd@b>"),
        (b"X-Message-ID: <a@b>", ""),
    ],
)
def test_message_ids(line, message_id):
    assert headers.scan(line + b"\r\n\r\n").message_id == message_id


def test_a_return_path_becomes_old():
    content = b"RETURN-PATH: <a@b>\r\nX: y\r\nReturn-Path:\r\n <c@d>\r\n\r\nReturn-Path: body\r\n"
    assert headers.rename_return_path(content) == (
        b"Old-Return-Path: <a@b>\r\nX: y\r\nOld-Return-Path:\r\n <c@d>\r\n\r\nReturn-Path: body\r\n"
    )
    untouched = b"X-Return-Path: <a@b>\r\n\r\n"
    assert headers.rename_return_path(untouched) is untouched


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: " + b"x" * 5_000_000,
        b"Subject: x" + b"\r\n x" * 1_000_000,
        b"Received:\r\n" * 400_000 + b"X: y",
    ],
)
def test_a_header_of_megabytes_is_read_in_little_memory(line):
    content = line + b"\r\n\r\n"
    tracemalloc.start()
    facts = headers.scan(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert facts.size == len(content) - 2
    assert peak < 5 * len(content)
