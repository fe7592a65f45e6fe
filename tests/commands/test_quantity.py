"""Durations in Courier's syntax and sizes with units."""

from datetime import timedelta

import pytest

from mta.management.quantity import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("4h", 14_400), ("1w2d", 777_600), ("1h 30m", 5_400), ("5M", 300), ("0", 0)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "4x", "-1h", "1.5h", "99999999999999w", "\u0664h"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration|too long"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [0, 1, 90, 3_600, 86_399, 777_600, 31_536_000])
def test_a_duration_reads_back_as_written(seconds):
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("0", 0),
        ("1000", 1000),
        ("10K", 10_240),
        ("500m", 524_288_000),
        ("2GiB", 1 << 31),
        ("1MB", 1 << 20),
    ],
)
def test_sizes(text, octets):
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", ["", "M", "-5M", "1.5G", "5X", "9999999999T", "99999999999999999"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="size|too large"):
        parse_size(text)


def test_a_size_is_shown_exactly():
    assert [format_size(octets) for octets in (0, 1000, 1024, 52_428_800)] == [
        "0",
        "1000",
        "1K",
        "50M",
    ]
