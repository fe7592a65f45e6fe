"""The supervisor against small real programs: they die, linger, ignore signals, leave children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from courierweb.environment import ROOT
from deploy import supervisor as supervisor_module
from deploy.supervisor import Part, Supervisor

WITHIN = 20.0

# Programs of parts; each writes its process id, so that a test can see it come and go.
SAY_PID = "import os, time, signal; print(os.getpid(), flush=True); "
STAY = SAY_PID + "time.sleep(600)"
DIE = SAY_PID + "raise SystemExit(3)"
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print(os.getpid(), flush=True); time.sleep(600)"
)
PARENT = (
    "import os, subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print(os.getpid(), child.pid, flush=True); time.sleep(600)"
)


def part(tmp_path: Path, program: str, name: str = "dummy", **options: object) -> Part:
    log = tmp_path / f"{name}.log"
    return Part(name, [sys.executable, "-c", program], os.environ, log, **options)  # type: ignore[arg-type]


def pids(tmp_path: Path, name: str = "dummy") -> list[int]:
    """The process ids that a part has written so far, oldest first."""
    log = tmp_path / f"{name}.log"
    return [int(word) for word in log.read_text().split()] if log.exists() else []


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WITHIN
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as running:
        yield running


def test_a_dying_part_is_started_again_and_reported(
    supervisor: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.start(part(tmp_path, DIE))
    assert supervisor.wait_until(lambda: len(pids(tmp_path)) >= 3, WITHIN)
    console = capsys.readouterr().out
    assert "dummy ended (exit status 3); starting it again at once" in console
    assert "starting it again in 0.5 s" in console, "the second time it has to wait"


def test_a_killed_part_is_started_again_and_its_children_are_gone(
    supervisor: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.start(part(tmp_path, PARENT))
    assert supervisor.wait_until(lambda: len(pids(tmp_path)) == 2, WITHIN)
    leader, child = pids(tmp_path)
    os.kill(leader, signal.SIGKILL)
    assert supervisor.wait_until(lambda: len(pids(tmp_path)) == 4, WITHIN)
    assert supervisor.wait_until(lambda: not alive(child), WITHIN)
    assert "dummy ended (killed by SIGKILL)" in capsys.readouterr().out


def test_a_part_that_has_been_up_for_long_is_forgiven(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "FORGIVEN_AFTER", 0.0)
    supervisor.start(part(tmp_path, DIE))
    assert supervisor.wait_until(lambda: len(pids(tmp_path)) >= 4, WITHIN)
    assert supervisor.deaths("dummy") <= 1


def test_stopping_ends_everything_stage_by_stage(tmp_path: Path) -> None:
    order = tmp_path / "order"
    program = (
        "import pathlib, signal, sys, time; "
        "note = lambda *_: (open({path!r}, 'a').write('{name} '), sys.exit()); "
        "signal.signal(signal.SIGTERM, note); print(1, flush=True); time.sleep(600)"
    )
    with Supervisor() as supervisor:
        for stage, name in ((2, "database"), (0, "door"), (1, "worker")):
            text = program.format(path=str(order), name=name)
            supervisor.start(part(tmp_path, text, name, stage=stage))
        names = ("database", "door", "worker")
        assert supervisor.wait_until(lambda: all(pids(tmp_path, n) for n in names), WITHIN)
    assert order.read_text().split() == ["door", "worker", "database"]


def test_a_part_that_ignores_sigterm_is_killed_when_its_time_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Supervisor() as supervisor:
        supervisor.start(part(tmp_path, STUBBORN, stop_by=0.3))
        assert supervisor.wait_until(lambda: bool(pids(tmp_path)), WITHIN)
    assert not alive(pids(tmp_path)[0])
    assert "dummy does not stop; killing it" in capsys.readouterr().out


def test_run_gives_the_exit_status_of_the_program(supervisor: Supervisor) -> None:
    assert supervisor.run([sys.executable, "-c", "raise SystemExit(7)"], os.environ) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_supervisor_and_part(tmp_path: Path, number: signal.Signals) -> None:
    with supervised(tmp_path, STAY) as process:
        assert wait_for(lambda: bool(pids(tmp_path)))
        process.send_signal(number)
        output, _ = process.communicate(timeout=WITHIN)
    assert process.returncode == 0
    assert f"stopped by {number.name}" in output
    assert not alive(pids(tmp_path)[0])


def test_parts_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, STUBBORN) as process:
        assert wait_for(lambda: bool(pids(tmp_path)))
        process.kill()
        process.wait()
    assert wait_for(lambda: not alive(pids(tmp_path)[0]))


@contextmanager
def supervised(tmp_path: Path, program: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.deploy.supervised_program"]
    with subprocess.Popen(
        [*command, tmp_path / "dummy.log", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
