#!/usr/bin/env python3
"""Sends to a simulated internet, part of which is sick, and shows what becomes of the rest.

    python3 tests/bench/internet.py [--destinations 500] [--recipients 50000] [--sick 30]

Two appliances of its own, one after the other, get the same mail for the same destinations: in the
first run all of them are well; in the second so many per cent are slow, dead, silent, greylisting,
throttling, broken in their TLS, or accept half of their recipients. Printed are, for the
destinations that are well in both runs, the times from the first message to the delivery of a
tenth, half, 95 % and all of their recipients; and for each kind of sickness how its recipients
ended. The exit status is 1 when a recipient has not ended in the state that its host deserves, or
when the second run took more than a fifth longer for 95 % or for all of the healthy ones.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.bench.simulated_hosts import Behaviour, is_known  # noqa: E402
from tests.support.appliance import Appliance  # noqa: E402

SENDER = "list@lists.test"
PASSWORD = "correct horse battery"
PER_MESSAGE = 100
SICK = tuple(kind for kind in Behaviour if kind is not Behaviour.FAST)
DEAD = (Behaviour.REFUSING, Behaviour.SILENT)
# Short, so that a run ends: what is grey is tried again, and what is dead is given up.
SETTINGS = {"retryalpha": "3s", "retrybeta": "20", "retrygamma": "5s", "warntime": "0"}
PATIENCE = 120.0
MARKS = {"a tenth": 0.1, "half": 0.5, "95 %": 0.95, "all": 1.0}
SLOWED = 1.2

# Rows of [domain, port] become routes, without a shell for each of them.
MAKE_ROUTES = """
import json, sys
from mta.models import Route
for domain, port in json.load(sys.stdin):
    Route.objects.create(domain=domain, relay="[127.0.0.1]", port=port)
"""
LOOK = """
SELECT address, CASE state WHEN 'queued' THEN 'waiting' WHEN 'delivering' THEN 'waiting'
    WHEN 'relayed' THEN 'sent' ELSE state END
FROM mta_recipient WHERE split_part(address, '@', 2) <> ALL(%s)
"""
COUNT = f"SELECT count(*) FROM ({LOOK}) AS every(address, state) WHERE state = 'waiting'"


@dataclass(frozen=True)
class Result:
    """`times` are seconds from the first message to each delivery, by domain; `states` the state
    of every recipient; `deliveries` how often the hosts accepted it."""

    times: Mapping[str, Sequence[float]]
    states: Mapping[str, str]
    deliveries: Mapping[str, int]


def main() -> int:
    options = arguments()
    domains = [f"d{number:03}.test" for number in range(options.destinations)]
    recipients = spread(domains, options.recipients)
    well = dict.fromkeys(domains, Behaviour.FAST)
    sick = with_sick(domains, options.sick)
    healthy = [domain for domain in domains if sick[domain] is Behaviour.FAST]
    results = []
    for name, behaviours in (("all well", well), (f"{options.sick} % sick", sick)):
        print(f"{name}: {len(recipients)} recipients at {len(domains)} destinations", flush=True)
        results.append(run(behaviours, recipients))
        print(f"  {progress(results[-1], healthy)}", flush=True)
    wrong = misplaced(sick, results[1])
    return int(wrong > 0 or is_slowed(*results, healthy))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--destinations", type=int, default=500)
    parser.add_argument("--recipients", type=int, default=50_000)
    parser.add_argument("--sick", type=int, default=30, metavar="PER CENT")
    return parser.parse_args()


def spread(domains: Sequence[str], count: int) -> list[str]:
    """So many recipients, one destination after the other."""
    return [f"user{n // len(domains)}@{domains[n % len(domains)]}" for n in range(count)]


def with_sick(domains: Sequence[str], per_cent: int) -> dict[str, Behaviour]:
    """Evenly among the others, and each sickness as often as the next."""
    found = dict.fromkeys(domains, Behaviour.FAST)
    count = len(domains) * per_cent // 100
    for number in range(count):
        found[domains[number * len(domains) // count]] = SICK[number % len(SICK)]
    return found


def run(behaviours: Mapping[str, Behaviour], recipients: Sequence[str]) -> Result:
    with ExitStack() as stack:
        appliance = Appliance()
        stack.callback(shutil.rmtree, appliance.home, ignore_errors=True)
        appliance.start()
        # How soon it stops on a busy machine is not the question here.
        stack.callback(appliance.crash)
        ports, log = stack.enter_context(hosts(behaviours, appliance.home))
        appliance.manage("shell", "-c", MAKE_ROUTES, text=json.dumps(list(ports.items())))
        appliance.manage("domain", "add", "lists.test")
        appliance.manage("mailbox", "add", SENDER, "--password", PASSWORD)
        for name, value in SETTINGS.items():
            appliance.manage("setting", "set", name, value)
        began = time.monotonic()
        inject(appliance, recipients)
        print(f"  accepted in {time.monotonic() - began:.1f} s", flush=True)
        dead = {domain for domain, kind in behaviours.items() if kind in DEAD}
        states = settle(appliance, recipients, dead)
        print(f"  settled after {time.monotonic() - began:.1f} s", flush=True)
    times: dict[str, list[float]] = {}
    deliveries: Counter[str] = Counter()
    for line in log.read_text().splitlines()[1:]:
        seconds, domain, address = line.split()
        times.setdefault(domain, []).append(float(seconds) - began)
        deliveries[address] += 1
    log.unlink()
    return Result(times, states, deliveries)


@contextmanager
def hosts(behaviours: Mapping[str, Behaviour], home: Path) -> Iterator[tuple[dict[str, int], Path]]:
    """The simulated hosts: their ports, and the log of what they accepted."""
    log = home.with_name(f"{home.name}-accepted.log")
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.bench.simulated_hosts"]
        program = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output)
    assert program.stdin is not None
    program.stdin.write(json.dumps(list(behaviours.items())).encode() + b"\n")
    program.stdin.flush()
    while not (told := log.read_text()).endswith("\n"):
        time.sleep(0.05)
    try:
        yield json.loads(told), log
    finally:
        program.stdin.close()
        program.wait()


def inject(appliance: Appliance, recipients: Sequence[str]) -> None:
    content = f"From: {SENDER}\r\nSubject: news\r\n\r\n{'x' * 70}\r\n".encode()
    with appliance.submission(SENDER, PASSWORD) as client:
        for start in range(0, len(recipients), PER_MESSAGE):
            envelope = [f"RCPT TO:<{each}>" for each in recipients[start : start + PER_MESSAGE]]
            commands = [f"MAIL FROM:<{SENDER}>", *envelope, "DATA"]
            client.send("".join(f"{command}\r\n" for command in commands))
            replies = [client.getreply()[0] for _ in commands]
            assert replies == [250] * (len(commands) - 1) + [354], replies
            client.send(content + b".\r\n")
            assert client.getreply()[0] == 250


def settle(appliance: Appliance, recipients: Sequence[str], dead: set[str]) -> dict[str, str]:
    """The state of each recipient once only the dead destinations have work, or no other has got
    any further for a while."""
    url = json.loads((appliance.home / "run" / "environment.json").read_text())["DATABASE_URL"]
    waiting, deadline = -1, 0.0
    # Not by the commands, which take the processor from what is measured.
    with psycopg.connect(url, autocommit=True) as database:
        while True:
            ((left,),) = database.execute(COUNT, [[*dead, SENDER.partition("@")[2]]]).fetchall()
            if left != waiting:
                waiting, deadline = left, time.monotonic() + PATIENCE
            if not left or time.monotonic() > deadline:
                states = dict(database.execute(LOOK, [[]]).fetchall())
                return {address: states[address] for address in recipients}
            time.sleep(1)


def times_of(result: Result, healthy: Sequence[str]) -> dict[str, float]:
    """Seconds until so many recipients of these destinations had their mail."""
    times = sorted(seconds for domain in healthy for seconds in result.times.get(domain, ()))
    return {name: times[max(0, int(len(times) * part) - 1)] for name, part in MARKS.items()}


def progress(result: Result, healthy: Sequence[str]) -> str:
    count = sum(len(result.times.get(domain, ())) for domain in healthy)
    told = [f"{name} {seconds:.1f} s" for name, seconds in times_of(result, healthy).items()]
    return f"the {count} recipients of {len(healthy)} healthy destinations: {', '.join(told)}"


def is_slowed(well: Result, sick: Result, healthy: Sequence[str]) -> bool:
    """Tell whether the sick ones cost the healthy ones more than a fifth of their time."""
    before, after = times_of(well, healthy), times_of(sick, healthy)
    ratios = {name: after[name] / before[name] for name in ("95 %", "all")}
    slowed = any(ratio > SLOWED for ratio in ratios.values())
    told = ", ".join(f"{name} {ratio:.2f} times" for name, ratio in ratios.items())
    print(f"{'FAIL' if slowed else 'PASS'}: healthy ones beside sick ones took, for {told}")
    return slowed


def misplaced(behaviours: Mapping[str, Behaviour], result: Result) -> int:
    """Tell how each kind of destination ended; how many recipients are not where they belong."""
    ends: dict[Behaviour, Counter[str]] = {kind: Counter() for kind in Behaviour}
    wrong = 0
    for address, state in result.states.items():
        kind = behaviours[address.partition("@")[2]]
        times = result.deliveries[address]
        ends[kind][f"{state}, accepted {times} times"] += 1
        wrong += (state, times) != expected(kind, address)
    for kind, counted in ends.items():
        if counted:
            told = "; ".join(f"{count} {end}" for end, count in sorted(counted.items()))
            print(f"  {kind}: {told}")
    print(f"{'FAIL' if wrong else 'PASS'}: {wrong} recipients are not where they belong")
    return wrong


def expected(kind: Behaviour, address: str) -> tuple[str, int]:
    """(state, how often the host accepted it)."""
    if kind in DEAD:
        return ("waiting", 0)
    if kind is Behaviour.HALF_ACCEPTING and not is_known(address):
        return ("failed", 0)
    return ("sent", 1)


if __name__ == "__main__":
    sys.exit(main())
