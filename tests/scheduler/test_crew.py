"""Threads for sessions with other hosts: as many as there is work, and no more than slots."""

import threading

from mta.scheduler.crew import Crew

LONG = 10


def test_so_many_run_at_once_and_the_others_take_turns():
    started, may_end = threading.Semaphore(0), threading.Event()
    worked, overflowed = [], []

    def work(name: str) -> None:
        worked.append(name)
        started.release()
        may_end.wait(LONG)

    crew = Crew(2, work, overflowed.append)
    for name in ("esmtp", "esmtp", "lmtp", "esmtp", "lmtp"):
        crew(name)
    for _ in range(2):
        assert started.acquire(timeout=LONG)
    assert crew.busy == 2
    assert worked == ["esmtp", "esmtp"]
    assert overflowed == ["lmtp", "esmtp", "lmtp"]
    may_end.set()
    for _ in range(2):
        assert started.acquire(timeout=LONG)
    assert sorted(worked) == ["esmtp", "esmtp", "esmtp", "lmtp"]


def test_a_fault_costs_no_slot():
    done = threading.Event()

    def work(name: str) -> None:
        if name == "broken":
            raise ValueError(name)
        done.set()

    crew = Crew(1, work, lambda name: None)
    crew("broken")
    crew("good")
    assert done.wait(LONG)


def test_a_system_without_threads_costs_no_slot(monkeypatch, caplog):
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = threading.Event()
    crew = Crew(1, lambda name: done.set(), lambda name: None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        crew("esmtp")
    assert crew.busy == 0
    assert "no thread" in caplog.text
    crew("esmtp")
    assert done.wait(LONG)
