"""Durations, sizes and stranger's text as the console reads and writes them."""

from datetime import timedelta

import pytest

from courierweb.console.fields import duration_text, parse_duration, parse_size, size_text
from courierweb.console.templatetags.console import clip, elapsed, hop, octets


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("5 min", 300),
        ("4h", 14400),
        ("1 d 12 h", 129600),
        ("1.5 hours", 5400),
        ("2 weeks", 1209600),
        ("1h30m", 5400),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 3600, 3660, 86400, 90061, 30 * 86400])
def test_a_duration_survives_its_own_text(seconds):
    length = timedelta(seconds=seconds)
    assert parse_duration(duration_text(length)) == length


@pytest.mark.parametrize("text", ["", "x", "1 y", "-1 h", "1..2 h", "h", "1 h oops", "9" * 400])
def test_bad_durations_are_refused(text):
    with pytest.raises(ValueError, match=r"duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("2 GiB", 2 << 30), ("50M", 50 << 20), ("1.5KB", 1536)]
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("size", [0, 1, 1000, 1024, 50 << 20, (2 << 30) + 1])
def test_a_size_survives_its_own_text(size):
    assert parse_size(size_text(size)) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "1 XB", "9" * 400])
def test_bad_sizes_are_refused(text):
    with pytest.raises(ValueError, match=r"size"):
        parse_size(text)


def test_text_of_strangers_is_short_and_undisguised():
    assert clip("a\u202eb\x00c\u200bd") == "a\ufffdb\ufffdc\ufffdd"
    assert clip("x" * 1000, 10) == "x" * 10 + "…"
    assert clip(None) == ""


def test_times_and_sizes_are_short():
    assert elapsed(timedelta(milliseconds=12)) == "12 ms"
    assert elapsed(timedelta(seconds=90)) == "1 min"
    assert elapsed(timedelta(hours=26)) == "1 d 2 h"
    assert octets(1536) == "1.5 KiB"


def test_next_hops_read_like_names():
    assert hop("mx:example.test") == "example.test"
    assert hop("relay:[192.0.2.1]:587/REQUIRED") == "[192.0.2.1]:587/REQUIRED (route)"
    assert hop("", "local") == "local"
