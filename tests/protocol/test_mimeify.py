"""Labels that a message lacks are added, and none that would be a lie."""

import pytest

from mta.protocol.mimeify import mimeify
from tests.support.dkim_hashes import hashes
from tests.support.messages import GOOD

TOP = b"MIME-Version: 1.0\r\n"
UTF8 = "Grüße\r\n".encode()
LATIN1 = "Grüße\r\n".encode("latin-1")


def leaf(fields: bytes, body: bytes = b"x\r\n") -> bytes:
    """The header section of a MIME message of one part, completed."""
    completed = mimeify(TOP + fields + b"\r\n" + body)
    header, empty_line, rest = completed.partition(b"\r\n\r\n")
    assert completed.startswith(TOP) and empty_line + rest == b"\r\n\r\n" + body
    return (header + b"\r\n").removeprefix(TOP)


def test_plain_mail_becomes_mime() -> None:
    assert mimeify(b"Subject: x\r\n\r\nbody\r\n") == (
        b"Subject: x\r\nMime-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\nbody\r\n"
    )


@pytest.mark.parametrize("content", [b"", b"\r\nbody", b"Subject: x", b"Subject: x\r\n"])
def test_mail_that_ends_early_becomes_mime(content: bytes) -> None:
    completed = mimeify(content)
    assert b"\r\nContent-Transfer-Encoding: 7bit\r\n" in completed
    assert completed.startswith(content.partition(b"\r\n")[0])
    assert completed.endswith(b"\r\nbody") is content.endswith(b"\r\nbody")
    assert mimeify(completed) is completed


UNCHANGED = ["flowed", "latin1", "utf8", "base64_text", "long_lines", "pgp_encrypted", "digest"]


@pytest.mark.parametrize("name", [*UNCHANGED, "pgp_signed", "smime_opaque", "dkim_mime"])
def test_what_is_complete_or_signed_is_the_same_object(name: str) -> None:
    assert mimeify(GOOD[name]) is GOOD[name]


def test_8_bit_text_without_mime_is_not_guessed_at() -> None:
    content = b"Subject: x\r\n\r\n" + UTF8
    assert mimeify(content) is content
    half = b"Content-Type: text/plain\r\n\r\n" + UTF8
    assert mimeify(half) is half


def test_a_type_without_a_version_gets_one() -> None:
    assert mimeify(b"Content-Type: text/plain; charset=x\r\n\r\ny\r\n") == (
        b"Content-Type: text/plain; charset=x\r\nMime-Version: 1.0\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\ny\r\n"
    )
    odd = b"Content-Type: text\r\n\r\ny\r\n"
    assert mimeify(odd) is odd


@pytest.mark.parametrize(
    ("fields", "completed"),
    [
        (
            b"",
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n",
        ),
        (
            b"Content-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\n",
            b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n",
        ),
        (
            b'content-type: TEXT/Plain;\r\n format=flowed; x="a;b" ;\r\n'
            b"Content-Transfer-Encoding: 7bit\r\n",
            b'content-type: TEXT/Plain;\r\n format=flowed; x="a;b"; charset=utf-8\r\n'
            b"Content-Transfer-Encoding: 7bit\r\n",
        ),
        (
            b"Content-Type: image/png\r\n",
            b"Content-Type: image/png\r\nContent-Transfer-Encoding: 7bit\r\n",
        ),
        (
            b"Content-Type: text/x; charset=y\r\nContent-Transfer-Encoding:\r\n 8BIT (so)\r\n",
            b"Content-Type: text/x; charset=y\r\nContent-Transfer-Encoding: 7bit\r\n",
        ),
    ],
    ids=["nothing", "no charset", "folded", "no encoding", "needless 8bit"],
)
def test_labels_of_ascii_text(fields: bytes, completed: bytes) -> None:
    assert leaf(fields) == completed


def test_labels_of_8_bit_text() -> None:
    assert leaf(b"", UTF8) == (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    # Not UTF-8, so that no charset is claimed.
    assert leaf(b"", LATIN1) == b"Content-Transfer-Encoding: 8bit\r\n"
    assert leaf(b"Content-Type: text/html\r\n", LATIN1) == (
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n"
    )


@pytest.mark.parametrize(
    ("encoding", "text", "is_utf8"),
    [
        (b"base64", b"R3LDvA==", True),
        (b"base64", b"R3L8", False),
        (b"quoted-printable", b"Gr=C3=BC", True),
        (b"quoted-printable", b"Gr=FC", False),
        (b"7bit", b"\x1b$B$3$s\x1b(B", False),
    ],
)
def test_a_charset_is_claimed_only_where_it_is_true(
    encoding: bytes, text: bytes, is_utf8: bool
) -> None:
    label = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    completed = leaf(b"Content-Type: text/plain\r\n" + label, text)
    assert (completed == b"Content-Type: text/plain; charset=utf-8\r\n" + label) is is_utf8


@pytest.mark.parametrize(
    "value", [b"text/plain; charset", b'text/plain; x="open', b"text/plain (really)", b"text"]
)
def test_types_that_are_not_understood_are_left_alone(value: bytes) -> None:
    fields = b"Content-Type: " + value + b"\r\nContent-Transfer-Encoding: 7bit\r\n"
    assert leaf(fields) == fields


def test_a_long_type_is_folded() -> None:
    fields = b'Content-Type: text/plain; name="' + b"n" * 40 + b'"\r\n'
    assert leaf(fields).startswith(fields[:-2] + b";\r\n charset=utf-8\r\n")


def test_parts_are_completed_and_what_stands_around_them_stays() -> None:
    before = (
        TOP + b'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\npreamble\r\n'
        b"--=_b\r\n\r\nplain \r\n--=_b \r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        + UTF8
        + b"--=_b--\r\nepilogue"
    )
    after = (
        TOP + b'Content-Type: multipart/mixed; boundary="=_b"\r\n'
        b"Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n"
        b"--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\nplain \r\n"
        b"--=_b \r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        b"\r\n" + UTF8 + b"--=_b--\r\nepilogue"
    )
    assert mimeify(before) == after


def test_enclosed_messages_stay_as_they_are() -> None:
    completed = mimeify(GOOD["forwarded_tree"])
    enclosed = GOOD["forwarded_tree"].partition(b"attachment\r\n\r\n")[2]
    assert completed.endswith(enclosed)
    assert b"\r\nContent-Transfer-Encoding: 7bit\r\n\r\nsee below" in completed


@pytest.mark.parametrize("name", ["dkim_plain", "dkim_oversigned", "dkim_mime", "list_with_arc"])
def test_signatures_survive(name: str) -> None:
    assert hashes(mimeify(GOOD[name])) == hashes(GOOD[name]) != []


def test_a_signed_message_gets_only_fields_that_its_signature_leaves_open() -> None:
    signature = b"DKIM-Signature: v=1; h=from:content-type; b=x\r\n"
    content = signature + TOP + b"Content-Type: text/plain\r\n\r\nx\r\n"
    assert mimeify(content) == content.replace(
        b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    )
    excluded = signature.replace(b"from", b"from:mime-version") + b"\r\nx\r\n"
    assert mimeify(excluded) is excluded


def test_broken_structure_is_left_alone() -> None:
    content = TOP + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n"
    assert mimeify(content) is content
