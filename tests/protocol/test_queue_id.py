"""Queue ids: 13 letters and digits that survive being read out on the telephone."""

import pytest

from mta.protocol.queue_id import decode_queue_id, encode_queue_id


@pytest.mark.parametrize("number", [0, 1, 31, 32, 1 << 20, 12345678901234567, (1 << 63) - 1])
def test_there_and_back(number):
    text = encode_queue_id(number)
    assert len(text) == 13 and not set(text) & set("ilou")
    assert decode_queue_id(text) == number
    assert decode_queue_id(f" {text.upper()}\n") == number


def test_order_is_kept():
    numbers = [0, 5, 1 << 10, 1 << 40, (1 << 63) - 1]
    assert sorted(map(encode_queue_id, numbers)) == list(map(encode_queue_id, numbers))


def test_letters_that_look_alike():
    assert decode_queue_id("000000000000O") == decode_queue_id("0000000000000")
    assert decode_queue_id("000000000000I") == decode_queue_id("000000000000l") == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0" * 12,
        "0" * 14,
        "000000000000u",
        "0000000-00000",
        "8" + "0" * 12,
        "z" * 13,
        "\u0660" * 13,
    ],
)
def test_what_is_no_queue_id(text):
    with pytest.raises(ValueError, match="is not a queue id"):
        decode_queue_id(text)
