"""Exit codes of delivery commands (spec 3.8)."""

import pytest

from mta.protocol.exit_status import Effect, effect, enhanced_status


@pytest.mark.parametrize("code", [64, 65, 67, 68, 69, 70, 76, 77, 78, 100, 112, -9, -15])
def test_failures(code):
    assert effect(code) is Effect.FAIL
    assert enhanced_status(code).startswith("5.")


@pytest.mark.parametrize("code", [1, 10, 66, 71, 72, 73, 74, 75, 98, 101, 111, 126, 127, 255])
def test_what_is_tried_again(code):
    assert effect(code) is Effect.DEFER
    assert enhanced_status(code) == "4.3.0"


def test_success():
    assert effect(0) is Effect.CONTINUE
    assert effect(99) is Effect.STOP
    assert enhanced_status(0) == enhanced_status(99) == "2.0.0"
