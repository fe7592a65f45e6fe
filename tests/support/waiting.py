"""Waiting for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

_Value = TypeVar("_Value")

PATIENCE = 30.0


def eventually(ask: Callable[[], _Value]) -> _Value:
    """The first answer that is true. Fails when none comes."""
    end = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
    return answer
