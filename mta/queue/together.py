"""Questions to the database that many threads ask at the same moment, asked as one.

A statement for fifty recipients costs little more than one for a single recipient, and a commit
costs the same. Who comes first does the work; whoever comes meanwhile waits and is served with
all others by the next, so nobody waits for a timer, and alone one notices nothing.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")

MOST = 200


class Together(Generic[_Asked, _Answer]):
    """Callable from any thread with what is asked and the work that answers all of these."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Question[_Asked, _Answer]] = []
        self._working = False

    def __call__(
        self, asked: _Asked, work: Callable[[Sequence[_Asked]], Sequence[_Answer]]
    ) -> _Answer:
        """The answer to what this thread asked. `work` gives one answer for each that it gets,
        in their order; what it raises is raised for everybody, except that a fault in what one
        asked is its own."""
        question = _Question[_Asked, _Answer](asked)
        with self._lock:
            self._waiting.append(question)
            leads = not self._working
            self._working = True
        if not leads:
            question.turn.acquire()
        if question.is_open:
            self._lead(work)
        return question.result()

    def _lead(self, work: Callable[[Sequence[_Asked]], Sequence[_Answer]]) -> None:
        with self._lock:
            questions, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            _answer(questions, work)
        finally:
            with self._lock:
                self._working = bool(self._waiting)
                successor = self._waiting[:1]
            for question in (*questions, *successor):
                question.turn.release()


class _Question(Generic[_Asked, _Answer]):
    def __init__(self, asked: _Asked) -> None:
        self.asked = asked
        self.is_open = True
        self.turn = threading.Semaphore(0)
        self._answer: list[_Answer] = []
        self._error: BaseException | None = None

    def settle(self, answer: _Answer) -> None:
        self._answer = [answer]
        self.is_open = False

    def fail(self, error: BaseException) -> None:
        self._error = error
        self.is_open = False

    def result(self) -> _Answer:
        if self._error is not None:
            raise self._error
        return self._answer[0]


def _answer(
    questions: Sequence[_Question[_Asked, _Answer]],
    work: Callable[[Sequence[_Asked]], Sequence[_Answer]],
) -> None:
    try:
        answers = work([question.asked for question in questions])
    except Exception as error:
        # A database that is away is away for each of them, and was waited for long enough.
        if len(questions) == 1 or isinstance(error, OperationalError | InterfaceError):
            for question in questions:
                question.fail(error)
            return
        for question in questions:
            _answer([question], work)
    except BaseException as error:
        for question in questions:
            question.fail(error)
        raise
    else:
        for question, answer in zip(questions, answers, strict=True):
            question.settle(answer)
