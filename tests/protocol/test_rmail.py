"""The From lines that hosts of UUCP put in front of a message, and its headers."""

import pytest

from mta.protocol.bang_path import Neighbourhood
from mta.protocol.rmail import take_from_lines
from mta.protocol.uucp_headers import inward, outward

TOWN = Neighbourhood("example", "mail.example.com", neighbours={"apple": ""})


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("From john Sun Mar  1 12:00:00 2026 remote from apple\n", "apple!john"),
        ("From john Sun Mar  1 12:00:00 2026\n", "john"),
        (
            "From fruits!john Sun Mar  1 12:00:00 2026 remote from apple\n"
            ">From x Sun Mar  1 11:00:00 2026 remote from fruits\n",
            "apple!fruits!x",
        ),
        (">From john Sun Mar  1 12:00:00 2026 remote from apple\r\n", "apple!john"),
        ("From john\n", "john"),
        ("", ""),
    ],
)
def test_the_path_of_the_sender(lines: str, path: str) -> None:
    message = b"Subject: x\n\nFrom me to you\n"
    assert take_from_lines(lines.encode() + message) == (path, message)


@pytest.mark.parametrize("content", [b"", b"From", b"From \n", b"From: a\n\n", b"From \xff\n"])
def test_what_is_no_such_line_stays(content: bytes) -> None:
    assert take_from_lines(content) == ("", content)


def test_headers_that_come_in() -> None:
    content = (
        b"From: John (in haste) <apple!john>\r\nTo: ann, far.example!bob,\r\n x!y@z.example\r\n"
        b"Cc: a!!b\r\n\r\napple!john\r\n"
    )
    assert inward(content, TOWN) == (
        b"From: John (in haste) <apple!john@mail.example.com>\r\n"
        b"To: ann, bob@far.example, x!y@z.example\r\nCc: a!!b\r\n\r\napple!john\r\n"
    )


def test_headers_there_and_back() -> None:
    content = b"From: Ann <ann@mail.example.com>\r\nTo: bob@far.example\r\n\r\nx\r\n"
    out = outward(content, TOWN, "apple")
    assert b"<example!ann>" in out
    assert inward(out, TOWN) == content.replace(b"To: ", b"To: ")
