"""What many threads ask at the same moment is answered by one piece of work."""

import threading
from collections.abc import Sequence

import pytest
from django.db import OperationalError

from mta.queue.together import Together
from tests.support.threads import Beside
from tests.support.waiting import eventually

LONG = 10


class Office:
    """Doubles numbers; the first piece of work waits until it may go on. Odd ones are faults."""

    def __init__(self) -> None:
        self.together: Together[int, int] = Together()
        self.pieces: list[list[int]] = []
        self.may_go_on = threading.Event()

    def ask(self, number: int) -> int:
        return self.together(number, self._work)

    def _work(self, numbers: Sequence[int]) -> list[int]:
        self.pieces.append(list(numbers))
        assert self.may_go_on.wait(LONG)
        if -1 in numbers:
            raise OperationalError("away")
        if any(number % 2 for number in numbers):
            raise ValueError(f"{numbers} are odd")
        return [2 * number for number in numbers]

    def ask_beside(self, *numbers: int) -> list[Beside]:
        """The first number is being worked on when the others are asked, all together."""
        first = Beside(lambda: self.ask(numbers[0]))
        eventually(lambda: self.pieces)
        others = [Beside(lambda number=number: self.ask(number)) for number in numbers[1:]]
        eventually(lambda: len(self.together._waiting) == len(others))
        self.may_go_on.set()
        return [first, *others]


def test_alone_one_is_served_at_once():
    office = Office()
    office.may_go_on.set()
    assert [office.ask(2), office.ask(4)] == [4, 8]
    assert office.pieces == [[2], [4]]


def test_who_comes_meanwhile_is_served_together_and_with_the_own_answer():
    office = Office()
    asked = office.ask_beside(2, 4, 6, 8)
    assert [each.result() for each in asked] == [4, 8, 12, 16]
    assert [sorted(piece) for piece in office.pieces] == [[2], [4, 6, 8]]


def test_a_fault_in_what_one_asks_is_not_the_others_fault():
    office = Office()
    _, four, five, six = office.ask_beside(2, 4, 5, 6)
    assert (four.result(), six.result()) == (8, 12)
    with pytest.raises(ValueError, match="5"):
        five.result()
    assert office.ask(8) == 16


def test_a_database_that_is_away_is_asked_once_for_all():
    office = Office()
    _, *others = office.ask_beside(2, 4, -1, 6)
    for each in others:
        with pytest.raises(OperationalError):
            each.result()
    assert len(office.pieces) == 2
    assert office.ask(8) == 16
