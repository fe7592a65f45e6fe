"""What a milter sees of a message, and the message with its changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import milter
from mta.protocol.milter import AddHeader, ChangeHeader, InsertHeader, ReplaceBody
from mta.protocol.milter_changes import Edit, EditedMessage

OURS = b"Received: by us\r\n    id 1\r\n"
FIELDS = b"Subject:  Hi\r\nX-A: 1\r\nx-a: 2\r\nTo: a,\r\n\tb\r\n"
BODY = b"body\r\n.\r\n"
MESSAGE = OURS + FIELDS + b"\r\n" + BODY


def test_the_filter_sees_all_but_our_own_field() -> None:
    message = EditedMessage(MESSAGE, leading_space=True)
    assert list(message.shown_fields()) == [
        (b"Subject", b"  Hi"),
        (b"X-A", b" 1"),
        (b"x-a", b" 2"),
        (b"To", b" a,\n\tb"),
    ]
    assert message.body == BODY


def test_an_old_filter_sees_values_without_the_space() -> None:
    message = EditedMessage(MESSAGE, leading_space=False)
    assert list(message.shown_fields())[0] == (b"Subject", b"Hi")


def test_lines_that_are_no_fields_stay() -> None:
    message = EditedMessage(b"From a@b\r\nTo: b\r\n\r\n", leading_space=True)
    assert list(message.shown_fields()) == [(b"To", b" b")]
    message.apply(AddHeader(b"X", b" y"))
    assert message.content() == b"From a@b\r\nTo: b\r\nX: y\r\n\r\n"


def test_untouched() -> None:
    message = EditedMessage(MESSAGE, leading_space=True)
    assert message.content() is None


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (AddHeader(b"X-B", b"3"), OURS + FIELDS + b"X-B: 3\r\n"),
        (AddHeader(b"X-B", b"3\n\t4\r\n5"), OURS + FIELDS + b"X-B: 3\r\n\t4\r\n\t5\r\n"),
        (AddHeader(b"X-B", b"3\n\nEvil: yes"), OURS + FIELDS + b"X-B: 3\r\n\tEvil: yes\r\n"),
        (InsertHeader(0, b"X-B", b"3"), b"X-B: 3\r\n" + OURS + FIELDS),
        (InsertHeader(1, b"X-B", b"3"), OURS + b"X-B: 3\r\n" + FIELDS),
        (InsertHeader(99, b"X-B", b"3"), OURS + FIELDS + b"X-B: 3\r\n"),
        (ChangeHeader(2, b"X-A", b"3"), MESSAGE[: -len(BODY) - 2].replace(b"x-a: 2", b"X-A: 3")),
        (ChangeHeader(1, b"x-a", b""), OURS + FIELDS.replace(b"X-A: 1\r\n", b"")),
        (ChangeHeader(3, b"X-A", b"3"), OURS + FIELDS + b"X-A: 3\r\n"),
        (ChangeHeader(3, b"X-A", b""), OURS + FIELDS),
        (ChangeHeader(1, b"Received", b""), OURS + FIELDS),
    ],
)
def test_fields(change: AddHeader | InsertHeader | ChangeHeader, fields: bytes) -> None:
    message = EditedMessage(MESSAGE, leading_space=False)
    message.apply(change)
    assert (message.content() or MESSAGE) == fields + b"\r\n" + BODY


def test_with_leading_space_the_value_has_its_own() -> None:
    message = EditedMessage(MESSAGE, leading_space=True)
    message.apply(InsertHeader(1, b"X-B", b"   3"))
    assert message.content() == OURS + b"X-B:   3\r\n" + FIELDS + b"\r\n" + BODY


def test_a_new_body_in_pieces() -> None:
    message = EditedMessage(MESSAGE, leading_space=True)
    message.apply(ReplaceBody(b"new\r\n"))
    message.apply(ReplaceBody(b"body\r\n"))
    assert message.content() == OURS + FIELDS + b"\r\nnew\r\nbody\r\n"


def test_a_message_without_body() -> None:
    message = EditedMessage(b"To: b", leading_space=True)
    assert message.body == b""
    message.apply(AddHeader(b"X", b" y"))
    message.apply(ReplaceBody(b"new\r\n"))
    assert message.content() == b"To: b\r\nX: y\r\n\r\nnew\r\n"


def test_a_filter_that_runs_wild_is_stopped() -> None:
    message = EditedMessage(MESSAGE, leading_space=True)
    with pytest.raises(ValueError, match="far larger than the message"):
        for _ in range(1000):
            message.apply(AddHeader(b"X", bytes(100_000)))


_numbers = st.integers(0, 5)
_names = st.sampled_from([b"Subject", b"x-a", b"New"])
_values = st.text("a :\r\n\t", max_size=20).map(str.encode)
_changes = st.one_of(
    st.builds(AddHeader, _names, _values),
    st.builds(InsertHeader, _numbers, _names, _values),
    st.builds(ChangeHeader, _numbers, _names, _values),
    st.builds(ReplaceBody, _values),
)


@given(st.lists(_changes, max_size=5), st.booleans())
def test_whatever_is_changed_it_is_one_message(changes: list[Edit], leading_space: bool) -> None:
    """No value ends the header or its own field, and all line ends are those of the wire."""
    message = EditedMessage(MESSAGE, leading_space)
    for change in changes:
        message.apply(change)
    content = message.content() or MESSAGE
    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
    header = content.partition(b"\r\n\r\n")[0]
    names = {line.partition(b":")[0] for line in header.split(b"\r\n") if line[:1] not in b" \t"}
    assert names <= {b"Received", b"Subject", b"X-A", b"x-a", b"To", b"New"}
    if not any(isinstance(change, ReplaceBody) for change in changes):
        assert content.endswith(b"\r\n\r\n" + BODY)


@given(st.binary(max_size=30))
def test_no_packet_is_more_than_nonsense(packet: bytes) -> None:
    try:
        milter.understand(packet)
    except ValueError:
        pass
