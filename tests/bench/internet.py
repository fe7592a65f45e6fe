#!/usr/bin/env python3
"""Sends to a simulated internet, part of which is sick, and shows what becomes of the rest.

    python3 tests/bench/internet.py [--destinations 500] [--recipients 50000] [--sick 30]

Two appliances of its own, one after the other, get the same mail for the same destinations: in the
first run all of them are well; in the second so many per cent are slow, dead, silent, greylisting,
throttling, broken in their TLS, or accept half of their recipients. Printed are, for the
destinations that are well in both runs, the times from the first message to the delivery of a
tenth, half, nine tenths and all of their recipients; and for each kind of sickness how its
recipients ended. Each must end in the state that its host deserves, or the exit status is 1.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.bench.simulated_hosts import Behaviour, is_known  # noqa: E402
from tests.support.appliance import Appliance, transfer  # noqa: E402

SENDER = "list@lists.test"
PASSWORD = "correct horse battery"
PER_MESSAGE = 100
SICK = tuple(kind for kind in Behaviour if kind is not Behaviour.FAST)
DEAD = (Behaviour.REFUSING, Behaviour.SILENT)
# Short, so that a run ends: what is grey is tried again, and what is dead is given up.
SETTINGS = {"retryalpha": "3s", "retrybeta": "20", "retrygamma": "5s", "warntime": "0"}
PATIENCE = 120.0
# What the queue calls it, where the difference is none here.
ENDS = {"queued": "waiting", "delivering": "waiting", "delivered": "sent", "relayed": "sent"}

# Rows of [domain, port] become routes, without a shell for each of them.
MAKE_ROUTES = """
import json, sys
from mta.models import Route
for domain, port in json.load(sys.stdin):
    Route.objects.create(domain=domain, relay="[127.0.0.1]", port=port)
"""
COUNT = """
import json
from django.db.models import Count
from mta.models import Recipient
rows = Recipient.objects.exclude(address="").values_list("address", "state")
print(json.dumps(list(rows)))
"""


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
    results = {}
    for name, behaviours in (("all well", well), (f"{options.sick} % sick", sick)):
        print(f"{name}: {len(recipients)} recipients at {len(domains)} destinations", flush=True)
        results[name] = run(behaviours, recipients)
        healthy = [domain for domain in domains if sick[domain] is Behaviour.FAST]
        print(f"  {progress(results[name], healthy)}", flush=True)
    return judge(sick, results[f"{options.sick} % sick"])


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
    with Appliance() as appliance, hosts(behaviours, appliance.home) as (ports, log):
        appliance.manage("shell", "-c", MAKE_ROUTES, text=json.dumps(list(ports.items())))
        appliance.manage("domain", "add", "lists.test")
        appliance.manage("mailbox", "add", SENDER, "--password", PASSWORD)
        for name, value in SETTINGS.items():
            appliance.manage("setting", "set", name, value)
        began = time.monotonic()
        inject(appliance, recipients)
        dead = {domain for domain, kind in behaviours.items() if kind in DEAD}
        states = settle(appliance, recipients, dead)
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
            transfer(client, SENDER, recipients[start : start + PER_MESSAGE], content)


def settle(appliance: Appliance, recipients: Sequence[str], dead: set[str]) -> dict[str, str]:
    """The state of each recipient once only the dead destinations have work, or no other has got
    any further for a while."""
    waiting, deadline = -1, 0.0
    while True:
        rows = dict(json.loads(appliance.manage("shell", "-v0", "-c", COUNT)))
        states = {address: ENDS.get(rows[address], rows[address]) for address in recipients}
        left = sum(
            state == "waiting"
            for address, state in states.items()
            if address.partition("@")[2] not in dead
        )
        if not left:
            return states
        if left != waiting:
            waiting, deadline = left, time.monotonic() + PATIENCE
        if time.monotonic() > deadline:
            return states
        time.sleep(3)


def progress(result: Result, healthy: Sequence[str]) -> str:
    times = sorted(seconds for domain in healthy for seconds in result.times.get(domain, ()))
    marks = [("a tenth", 0.1), ("half", 0.5), ("nine tenths", 0.9), ("all", 1.0)]
    told = [f"{name} {times[max(0, int(len(times) * part) - 1)]:.1f} s" for name, part in marks]
    return f"the {len(times)} recipients of {len(healthy)} healthy destinations: {', '.join(told)}"


def judge(behaviours: Mapping[str, Behaviour], result: Result) -> int:
    """Tell how each kind of destination ended; 1 when a recipient is not where it belongs."""
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
    print(f"{wrong} recipients are not where they belong")
    return int(wrong > 0)


def expected(kind: Behaviour, address: str) -> tuple[str, int]:
    """(state, how often the host accepted it)."""
    if kind in DEAD:
        return ("waiting", 0)
    if kind is Behaviour.HALF_ACCEPTING and not is_known(address):
        return ("failed", 0)
    return ("sent", 1)


if __name__ == "__main__":
    sys.exit(main())
