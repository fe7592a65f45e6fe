"""What is refused at the end of DATA: every kind of broken MIME is named with its part."""

import pytest

from mta.protocol.mime_structure import Problem, examine
from tests.support.messages import BROKEN, GOOD

TOP = b"MIME-Version: 1.0\r\n"
NOT_EXAMINED_ALONE = {"mbox_line", "telnet_test", "smtputf8"}

EXPECTED = {
    "8bit_header": ("", "8-bit characters in the header field Subject without SMTPUTF8"),
    "8bit_header_not_utf8": ("", "8-bit characters in the header field Subject without SMTPUTF8"),
    "8bit_without_mime": ("", "8-bit text without MIME header fields"),
    "8bit_without_version": ("", "8-bit text without the header field Mime-Version"),
    "8bit_in_7bit": ("", "8-bit text labelled 7bit"),
    "8bit_unlabelled_part": ("2", "8-bit text without an encoding label"),
    "8bit_in_quoted_printable": ("", "8-bit text labelled quoted-printable"),
    "8bit_in_preamble": ("", "8-bit text outside of the parts of the multipart"),
    "8bit_in_part_header": (
        "1",
        "8-bit characters in the header field Content-Type without SMTPUTF8",
    ),
    "unknown_encoding": ("", "unknown Content-Transfer-Encoding: x-uuencode"),
    "invalid_base64": ("1", "invalid base64"),
    "base64_with_footer": ("", "invalid base64"),
    "no_boundary": ("", "the multipart names no boundary"),
    "two_boundaries": ("", "the multipart names its boundary more than once"),
    "wrong_boundary": ("", "the multipart has no part"),
    "truncated": ("", "the multipart has no closing boundary delimiter"),
    "inner_not_closed": ("1", "the multipart has no closing boundary delimiter"),
    "same_boundary_inside": ("1", "the boundary of the multipart overlaps that of one around it"),
    "boundary_is_a_beginning": (
        "1",
        "the boundary of the multipart overlaps that of one around it",
    ),
    "delimiter_goes_on": ("1", "a line begins like a boundary delimiter but is none"),
    "delimiter_after_the_end": ("", "a boundary delimiter follows the closing one"),
    "encoded_multipart": ("", "multipart/mixed must not be encoded as base64"),
    "encoded_message": ("1", "message/rfc822 must not be encoded as quoted-printable"),
    "duplicate_type": ("", "the header field Content-Type is there more than once"),
    "duplicate_version": ("", "the header field Mime-Version is there more than once"),
    "nul_in_header": ("", "a NUL character in the header"),
    "no_field_in_part_header": ("1", "a line of the header is no header field"),
    "part_begins_with_continuation": ("1", "a line of the header is no header field"),
    "signed_with_stray_line": ("", "a line of the header is no header field"),
}


@pytest.mark.parametrize("name", [name for name in GOOD if name not in NOT_EXAMINED_ALONE])
def test_good_messages_have_no_problem(name: str) -> None:
    assert examine(GOOD[name], smtputf8=False) == ()


@pytest.mark.parametrize("name", BROKEN)
def test_each_problem_is_named_with_its_part(name: str) -> None:
    part, text = EXPECTED[name]
    found = {(problem.part, problem.text) for problem in examine(BROKEN[name], smtputf8=False)}
    assert (part, text) in found


def codes(content: bytes, *, smtputf8: bool = False) -> set[str]:
    return {problem.code for problem in examine(content, smtputf8=smtputf8)}


def test_the_status_tells_the_kind_of_problem() -> None:
    assert codes(BROKEN["8bit_header"]) == {"5.6.7"}
    assert codes(BROKEN["unknown_encoding"]) == {"5.6.1"}
    assert codes(BROKEN["truncated"]) == {"5.6.0"}


def test_utf8_header_fields_need_smtputf8_and_have_to_be_utf8() -> None:
    assert examine(BROKEN["8bit_header"], smtputf8=True) == ()
    assert examine(GOOD["smtputf8"], smtputf8=True) == ()
    (problem,) = examine(BROKEN["8bit_header_not_utf8"], smtputf8=True)
    assert problem.text == "8-bit characters in the header field Subject that are not UTF-8"


def test_inside_of_a_global_message_header_fields_are_utf8_anyway() -> None:
    label = b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    inner = "Subject: Grüße\r\n\r\nx\r\n".encode()
    assert examine(TOP + b"Content-Type: message/global\r\n" + label + inner, smtputf8=False) == ()
    assert codes(TOP + b"Content-Type: message/rfc822\r\n" + label + inner) == {"5.6.7"}


def test_a_global_message_may_be_encoded() -> None:
    header = b"Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert examine(TOP + header + b"U3ViamVjdDogeA==\r\n", smtputf8=False) == ()


@pytest.mark.parametrize("label", [b"7bit", b"8BIT", b"Binary", b"7bit (as ever)", b"base64"])
def test_known_encodings_in_any_spelling(label: bytes) -> None:
    content = TOP + b"Content-Transfer-Encoding: " + label + b"\r\n\r\nabcd\r\n"
    assert examine(content, smtputf8=False) == ()


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (b"", True),
        (b"YQ==\r\n", True),
        (b"YW\r\nE=\r\n", True),
        (b"YWE= \r\n\t\r\n", True),
        (b"YWE", False),
        (b"YQ==YQ==", False),
        (b"YQ=\r\n", False),
        (b"=YQ=", False),
        (b"Y-Q_", False),
        (b"YW E=", False),
        (b"not at all.", False),
    ],
)
def test_base64(text: bytes, valid: bool) -> None:
    content = TOP + b"Content-Transfer-Encoding: base64\r\n\r\n" + text
    assert (examine(content, smtputf8=False) == ()) is valid


def multipart(boundary: bytes, *parts: bytes) -> bytes:
    delimiter = b"--" + boundary
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        b"Content-Type: multipart/mixed; boundary="
        + boundary
        + b"\r\n\r\n"
        + body
        + (delimiter + b"--\r\n")
    )


@pytest.mark.parametrize("boundary", [b'""', b'"' + b"x" * 71 + b'"', b'"\xc3\xbc"', b'"  "'])
def test_boundaries_that_cannot_be_used(boundary: bytes) -> None:
    content = TOP + b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n--\r\n"
    texts = [problem.text for problem in examine(content, smtputf8=True)]
    assert any("boundary" in text for text in texts)


def test_the_same_boundary_may_be_used_again_side_by_side() -> None:
    content = TOP + multipart(b"o", multipart(b"i", b"\r\nx"), multipart(b"i", b"\r\ny"))
    assert examine(content, smtputf8=False) == ()


def test_parts_are_numbered_as_they_nest() -> None:
    bad = b"Content-Transfer-Encoding: base64\r\n\r\n?"
    inner = b"Content-Type: message/rfc822\r\n\r\n" + multipart(b"i", b"\r\nx", bad)
    (problem,) = examine(TOP + multipart(b"o", b"\r\nx", inner), smtputf8=False)
    assert problem == Problem("2.1.2", "invalid base64")
    assert str(problem) == "part 2.1.2: invalid base64"


def nested(depth: int) -> bytes:
    content = b"\r\nx\r\n"
    for level in range(depth):
        content = multipart(b"b%03d" % level, content)
    return TOP + content


def test_depth_and_number_of_parts_have_limits() -> None:
    assert examine(nested(50), smtputf8=False) == ()
    (problem,) = examine(nested(51), smtputf8=False)
    assert problem.text == "parts are nested more than 50 deep"
    assert examine(TOP + multipart(b"b", *[b"\r\nx"] * 1000), smtputf8=False) == ()
    (problem,) = examine(TOP + multipart(b"b", *[b"\r\nx"] * 1001), smtputf8=False)
    assert problem.text == "more than 1000 parts"
    enclosed = (TOP + b"Content-Type: message/rfc822\r\n\r\n") * 1000
    assert [problem.part for problem in examine(enclosed, smtputf8=False)] == [""]


def test_no_more_problems_are_told_than_a_reply_can_hold() -> None:
    bad = b"Content-Transfer-Encoding: base64\r\n\r\n?"
    problems = examine(TOP + multipart(b"b", *[bad] * 500), smtputf8=False)
    assert len(problems) == 21
    assert problems[-1].text == "and more"


def test_what_a_problem_quotes_is_harmless() -> None:
    label = b"Content-Transfer-Encoding: x\x1b[2J\xff\x00" + b"y" * 500 + b"\r\n\r\n"
    for problem in examine(TOP + label, smtputf8=True):
        assert problem.text.isascii() and problem.text.isprintable() and len(problem.text) < 250


HOSTILE = {
    "lines like delimiters": TOP + multipart(b"b", b"\r\n" + b"--b-\r\n" * 200_000),
    "lines with dashes": TOP + multipart(b"b", b"\r\n" + b"--\r\n" * 300_000),
    "dashes in the header of a part": TOP
    + multipart(b"b", b"X: y\r\n" + b"--\r\n" * 300_000 + b"\r\nx"),
    "parts without empty lines": TOP + multipart(b"b", *[b"x"] * 200_000),
    "parts in parts": nested(5_000),
    "messages in messages": (TOP + b"Content-Type: message/rfc822\r\n\r\n") * 30_000,
    "delimiters after the end": TOP + multipart(b"b", b"\r\n") + b"--b\r\n\r\n" * 200_000,
    "one long boundary": TOP + multipart(b"x" * 1_000_000, b"\r\nx"),
    "header fields without end": b"Content-Type: a\r\n" * 100_000,
    "open quotes": TOP + b"Content-Type: x;a=" + b'"\\' * 500_000 + b"\r\n\r\n",
    "open comments": TOP + b"Content-Type: " + b"(" * 500_000 + b"\r\n\r\n",
    "escaped comments": TOP + b"Content-Type: " + b"(\\" * 500_000 + b"\r\n\r\n",
    "parameters": TOP + b"Content-Type: x/y" + b";a=b" * 250_000 + b"\r\n\r\n",
    "folds": TOP + b"Content-Type: x/y" + b"\r\n ;" * 250_000 + b"\r\n\r\n",
    "spaces": TOP + b"Content-Type: x/y;" + b" " * 1_000_000 + b"\r\n\r\n",
    "base64 of spaces": TOP
    + b"Content-Transfer-Encoding: base64\r\n\r\n"
    + b" " * 1_000_000
    + b"x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_read_in_time(name: str) -> None:
    """About a megabyte each: with work that grows faster than the size, this would not end."""
    assert len(examine(HOSTILE[name], smtputf8=False)) <= 21


def test_the_header_sections_of_parts_have_a_limit() -> None:
    parts = [b"X: y\r\n" * 10_000 + b"\r\nx"] * 100
    (problem,) = examine(TOP + multipart(b"b", *parts), smtputf8=False)
    assert problem.text == "too much text in the headers of parts"
