"""When a worker is started anew."""

import os

import pytest

from courierweb.recycling import Limits, reason, resident

LIMITS = Limits(low=100, high=1000, memory=1 << 30)


@pytest.mark.parametrize(
    ("age", "memory", "idle", "words"),
    [
        (99, 0, True, ""),
        (100, 0, True, "idle"),
        (999, 0, False, ""),
        (1000, 0, False, "1000 s"),
        (1, (1 << 30) + 1, False, "1024 MiB"),
    ],
)
def test_idle_first_then_at_the_latest_and_when_it_is_fat(age, memory, idle, words):
    why = reason(LIMITS, age, memory, idle=idle)
    assert words in why
    assert bool(why) == bool(words)


def test_zero_is_no_limit():
    assert reason(Limits(0, 0, 0), 1e9, 1 << 60, idle=True) == ""


def test_memory_is_measured():
    assert resident(os.getpid()) > 1 << 20
    assert resident(1 << 30) == 0
