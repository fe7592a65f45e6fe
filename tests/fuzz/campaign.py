"""Many sessions side by side, each from its number; what they cost and what went wrong."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fuzz import client, generator
from tests.fuzz.script import Script
from tests.fuzz.target import State

# Each source address has its own ports, so that those still in TIME_WAIT do not run out.
SOURCES = tuple(f"127.0.0.{number}" for number in range(1, 17))
SAMPLES = 40
TROUBLES_KEPT = 20


@dataclass(frozen=True)
class Plan:
    """Go on until both numbers are reached. `at_once` sessions run side by side, from session
    number `first` on."""

    seed: int
    commands: int
    sessions: int
    at_once: int = 50
    first: int = 0


@dataclass
class Report:
    """`kinds` counts the sessions; `memory` has (sessions so far, resident kB) now and then;
    `stood_still` is for how many seconds the ingress served nobody, at most."""

    commands: int = 0
    sessions: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    stood_still: float = 0.0

    @property
    def rate(self) -> float:
        """Commands a second."""
        return self.commands / self.seconds if self.seconds else 0.0

    def growth(self) -> float:
        """kB of resident memory that 1,000 sessions cost, by least squares over the second half:
        what is remembered of a bounded number of things is remembered by then."""
        samples = self.memory[len(self.memory) // 2 :]
        if len(samples) < 2:
            return 0.0
        middle_x = sum(x for x, _ in samples) / len(samples)
        middle_y = sum(y for _, y in samples) / len(samples)
        spread = sum((x - middle_x) ** 2 for x, _ in samples)
        if not spread:
            return 0.0
        return 1000 * sum((x - middle_x) * (y - middle_y) for x, y in samples) / spread


class Sampler:
    """Measures SAMPLES times in all. `ask` gives the state of the ingress, in a thread, so that
    the sessions go on meanwhile; `tell` hears of the progress whenever it was asked."""

    def __init__(
        self,
        ask: Callable[[], State] | None = None,
        tell: Callable[[Report], None] | None = None,
    ) -> None:
        self._ask = ask
        self._tell = tell
        self._busy = asyncio.Lock()

    async def after(self, plan: Plan, report: Report) -> None:
        """Called after every session."""
        if self._ask is None or report.sessions % max(1, plan.sessions // SAMPLES):
            return
        async with self._busy:
            sessions = report.sessions
            state = await asyncio.to_thread(self._ask)
            report.memory.append((sessions, state.rss))
            report.stood_still = max(report.stood_still, state.stood_still)
            if self._tell is not None:
                self._tell(report)


def run(plan: Plan, ports: dict[str, int], sampler: Sampler | None = None) -> Report:
    """Play the sessions."""
    report = Report()
    with asyncio.Runner() as runner:
        runner.run(_run(plan, ports, report, sampler or Sampler()))
    return report


def play_one(script: Script, ports: dict[str, int]) -> client.Played:
    with asyncio.Runner() as runner:
        return runner.run(_play(script, 0, ports))


async def _run(plan: Plan, ports: dict[str, int], report: Report, sampler: Sampler) -> None:
    numbers = iter(range(plan.first, 1 << 62))
    begin = time.monotonic()

    async def worker() -> None:
        while report.commands < plan.commands or report.sessions < plan.sessions:
            number = next(numbers)
            script = generator.session(plan.seed, number)
            played = await _play(script, number, ports)
            report.commands += played.commands
            report.sessions += 1
            report.seconds = time.monotonic() - begin
            report.kinds[script.kind] += 1
            if played.trouble and len(report.troubles) < TROUBLES_KEPT:
                report.troubles.append(f"session {number} ({script.kind}): {played.trouble}")
            await sampler.after(plan, report)

    async with asyncio.TaskGroup() as group:
        for _ in range(plan.at_once):
            group.create_task(worker())


async def _play(script: Script, number: int, ports: dict[str, int]) -> client.Played:
    """One session in eight at the smtp door comes over IPv6."""
    if script.door == "smtp" and "smtp6" in ports and number % 8 == 7:
        return await client.play(script, "::1", ports["smtp6"], "::1")
    source = SOURCES[number % len(SOURCES)]
    return await client.play(script, "127.0.0.1", ports[script.door], source)
