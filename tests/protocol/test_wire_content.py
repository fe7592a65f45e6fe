"""The octets of the content on the wire: nobody can find an end inside of them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol.wire_content import CHUNK, chunk_content, wire_chunks


def on_the_wire(content: bytes) -> bytes:
    return b"".join(wire_chunks(content))


def as_received(wire: bytes) -> bytes:
    """What a strict server takes the content for."""
    assert wire.endswith(b".\r\n")
    body = wire[: -len(b".\r\n")]
    return b"".join(
        line[1:] if line.startswith(b".") else line for line in body.splitlines(keepends=True)
    )


lines = st.lists(
    st.sampled_from([b".", b"..", b"x", b"\r", b"\n", b"\r\n", b"\x00", b"\r\n.\r\n"]), max_size=30
).map(b"".join)


@given(lines)
def test_only_the_last_line_is_a_lone_dot_however_line_ends_are_read(content: bytes) -> None:
    wire = on_the_wire(content)
    assert re.search(rb"(?<!\r)\n|\r(?!\n)|\0", wire) is None
    assert re.split(rb"\r\n", wire).count(b".") == 1


@given(lines)
def test_nothing_but_line_ends_and_nul_changes(content: bytes) -> None:
    normal = re.sub(rb"\r\n|\r|\n", b"\r\n", content.replace(b"\0", b""))
    if normal and not normal.endswith(b"\r\n"):
        normal += b"\r\n"
    assert as_received(on_the_wire(content)) == normal


@pytest.mark.parametrize("offset", range(-4, 5))
@pytest.mark.parametrize("middle", [b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\r\n..", b"\r\r\n.\r\r\n"])
def test_the_seam_between_two_chunks_hides_nothing(middle: bytes, offset: int) -> None:
    content = b"x" * (CHUNK + offset) + middle + b"y" * 300_000
    whole = re.sub(rb"\r\n|\r|\n", b"\r\n", content).replace(b"\r\n.", b"\r\n..")
    assert on_the_wire(content) == whole + b"\r\n.\r\n"
    assert len(list(wire_chunks(content))) > 1


def test_a_chunk_has_no_dots_to_double_no_nul_and_an_end():
    assert chunk_content(b".a\r\n..\r\nb\0c") == b".a\r\n..\r\nbc\r\n"
    assert chunk_content(b"a\r\n") == b"a\r\n"
