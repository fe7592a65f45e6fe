#!/usr/bin/env python3
"""Measures how fast mail goes from acceptance to the Maildir, and how long one message takes.

    python3 tests/bench/throughput.py [--messages 3000] [--connections 1 10 50] [--rounds 3]
    python3 tests/bench/throughput.py --port 2525 --maildir var/mail/DOMAIN/BOX/Maildir
    python3 tests/bench/throughput.py --profile DIRECTORY
    python3 tests/bench/throughput.py --postfix
    python3 tests/bench/throughput.py --against CHECKOUT --connections 10 50 --rounds 5

It starts an appliance of its own with deploy/run, or uses a running one: then no processor times
are shown, and the mailbox is EMPTIED (its mail goes into measured-* beside it). All checks are on,
and a DNS server of the bench's own answers them (a running appliance must find elsewhere.example in
its DNS). Messages of 4 KiB are sent with smtp-source over kept-alive connections, and the files in
the Maildir are counted. smtp-source is part of Debian's package postfix; when it is not installed,
the package is downloaded and unpacked below $COURIERWEB_HOME/bench (default ./var/bench), and
nothing is installed into the system.

"accepted" ends with the last 250, "Maildir" with the last file, both counted from the first
connection. Rounds are interleaved, so that a noisy moment of the machine hits all alike.
--postfix runs a real Postfix from that package beside the appliance (as root; its virtual(8)
writes the Maildir) and measures it in turn. --against runs an appliance from another checkout, such
as one of an older version, beside this one; the table ends with the ratios of their pairs of runs.
With --profile, py-spy writes a flame graph of each
ingress and of the local worker.
"""

import argparse
import os
import secrets
import shutil
import signal
import smtplib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from deploy import bootstrap  # noqa: E402

if Path(sys.prefix).resolve() != bootstrap.VENV.resolve():
    # The name server of the bench needs what the appliance needs.
    bootstrap.install(["requirements.txt"])
    os.execv(bootstrap.PYTHON, [str(bootstrap.PYTHON), *sys.argv])  # noqa: S606

from tests.bench import postfix, processor_time, smtp_source  # noqa: E402
from tests.support.appliance import Appliance, transfer  # noqa: E402
from tests.support.dns import DnsServer  # noqa: E402

DOMAIN = "bench.test"
BOX = f"bench@{DOMAIN}"
# Where smtp-source says that it comes from.
ZONE = {
    "elsewhere.example": {"MX": ["10 mx.elsewhere.example"]},
    "mx.elsewhere.example": {"A": ["192.0.2.1"]},
}
LATENCY_MESSAGES = 50
# Long enough for the appliance to have nothing left to do in between.
IDLE_SECONDS = 0.2
# Without a new file for so long, the rest is not coming.
PATIENCE = 60.0
PROFILED = ("ingress-1", "ingress-2", "worker-local")


@dataclass(frozen=True)
class Target:
    """Where to send and where to count. `appliance` is None when it is not our own."""

    name: str
    port: int
    address: str
    new: Path
    appliance: Appliance | None = None


@dataclass(frozen=True)
class Run:
    """One measurement: messages per second, and milliseconds a message by part."""

    server: str
    connections: int
    accepted: float
    stored: float
    processor: dict[str, float] = field(default_factory=dict)


class Stuck(Exception):
    """Mail was accepted and does not arrive."""


def main() -> int:
    options = arguments()
    # Whatever ends this program ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        tool = smtp_source.find(Path(os.environ.get("COURIERWEB_HOME", ROOT / "var")) / "bench")
        with targets(options, tool) as servers:
            measure(options, tool, servers)
    except (smtp_source.NoLoadTool, Stuck, RuntimeError, OSError, AssertionError) as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=3000, help="per run (3000)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--port", type=int, help="of a running appliance")
    parser.add_argument("--maildir", type=Path, help="of one of its mailboxes; it is EMPTIED")
    parser.add_argument("--profile", type=Path, metavar="DIRECTORY", help="write flame graphs")
    parser.add_argument("--postfix", action="store_true", help="measure a Postfix, too")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="measure it, too")
    options = parser.parse_args()
    if (options.port is None) != (options.maildir is None):
        parser.error("--port and --maildir go together")
    if options.profile and options.port:
        parser.error("--profile needs an appliance of its own")
    if options.profile and not shutil.which("py-spy"):
        parser.error("--profile needs py-spy (pip install py-spy)")
    return options


@contextmanager
def targets(options: argparse.Namespace, tool: smtp_source.SmtpSource) -> Iterator[list[Target]]:
    """The servers to measure, for as long as they are needed."""
    with ExitStack() as stack:
        servers = [stack.enter_context(target(options))]
        if options.against:
            servers.append(
                stack.enter_context(own(options.against.resolve(), str(options.against)))
            )
        if options.postfix:
            port, new = stack.enter_context(postfix.running(tool, DOMAIN))
            servers.append(Target("Postfix", port, BOX, new))
        yield servers


@contextmanager
def target(options: argparse.Namespace) -> Iterator[Target]:
    """The running appliance that was named, or one of our own."""
    if options.port is not None:
        box = options.maildir.resolve()
        address = f"{box.parent.name}@{box.parent.parent.name}"
        yield Target("CourierWeb", options.port, address, box / "new")
        return
    with own(ROOT, "CourierWeb") as made:
        yield made


@contextmanager
def own(root: Path, name: str) -> Iterator[Target]:
    """An appliance that runs from the checkout `root`."""
    print(f"starting an appliance: {name}", flush=True)
    with DnsServer(ZONE) as dns, Appliance(dns.address, root=root) as appliance:
        appliance.manage("domain", "add", DOMAIN)
        appliance.manage("mailbox", "add", BOX, "--password", secrets.token_urlsafe())
        new = appliance.maildir(BOX).path / "new"
        yield Target(name, appliance.ports["SMTP"], BOX, new, appliance)


def measure(
    options: argparse.Namespace, tool: smtp_source.SmtpSource, servers: Sequence[Target]
) -> None:
    """All runs, told as they come, then the table."""
    latencies = {}
    for to in servers:
        # What happens once only, such as making the Maildir, is not to be measured.
        tool.send(to.port, 2, 20, to.address)
        wait_for_files(to.new, 20)
        latencies[to.name] = latency(to)
    runs: list[Run] = []
    for number in range(1, options.rounds + 1):
        for connections in options.connections:
            for to in servers:
                with profiling(options.profile, to.appliance, connections):
                    runs.append(run(tool, to, connections, options.messages))
                print(f"round {number}: {sentence(runs[-1])}", flush=True)
    print()
    for to in servers:
        print(to.name)
        for line in table([one for one in runs if one.server == to.name], options.messages):
            print(f"  {line}")
        print(f"  {latency_sentence(latencies[to.name])}\n")
    for to in servers[1:]:
        for line in ratios(runs, servers[0].name, to.name):
            print(line)


def run(tool: smtp_source.SmtpSource, to: Target, connections: int, messages: int) -> Run:
    empty(to.new)
    before = processor_time.by_part(to.appliance) if to.appliance else {}
    begin = time.monotonic()
    sending = tool.send(to.port, connections, messages, to.address)
    wait_for_files(to.new, messages)
    seconds = time.monotonic() - begin
    after = processor_time.by_part(to.appliance) if to.appliance else {}
    used = processor_time.per_message(before, after, messages)
    return Run(to.name, connections, messages / sending, messages / seconds, used)


def latency(to: Target) -> list[float]:
    """Milliseconds from opening a connection to the file, for single messages."""
    found = []
    content = f"Subject: one\r\n\r\n{'x' * 70}\r\n".encode()
    for _ in range(LATENCY_MESSAGES):
        empty(to.new)
        time.sleep(IDLE_SECONDS)
        begin = time.monotonic()
        with smtplib.SMTP("127.0.0.1", to.port, "bench.example", timeout=60) as client:
            client.ehlo()
            transfer(client, "bench@elsewhere.example", [to.address], content)
            wait_for_files(to.new, 1, interval=0.001)
            found.append((time.monotonic() - begin) * 1000)
    return found


def wait_for_files(directory: Path, count: int, interval: float = 0.02) -> None:
    """Wait until so many files are there. Raises Stuck when their number stands still."""
    seen, deadline = 0, time.monotonic() + PATIENCE
    while (found := count_files(directory)) < count:
        if found > seen:
            seen, deadline = found, time.monotonic() + PATIENCE
        if time.monotonic() > deadline:
            raise Stuck(f"{found} of {count} messages in {directory} after {PATIENCE:.0f} s more")
        time.sleep(interval)


def count_files(directory: Path) -> int:
    try:
        return len(os.listdir(directory))  # noqa: PTH208 (a path for each file costs too much)
    except FileNotFoundError:
        return 0


def empty(directory: Path) -> None:
    """Put the directory aside and an empty one in its place.

    Nothing is deleted: for minutes afterwards ext4 steps over every inode that was freed lately
    when it looks for one for a new file, which took a third of the delivery's processor time.
    """
    status = directory.stat()
    aside = directory.with_name(f"measured-{time.time_ns()}")
    directory.rename(aside)
    directory.mkdir()
    os.chown(directory, status.st_uid, status.st_gid)
    directory.chmod(status.st_mode)


@contextmanager
def profiling(
    directory: Path | None, appliance: Appliance | None, connections: int
) -> Iterator[None]:
    """py-spy beside each of PROFILED, if wanted."""
    if directory is None or appliance is None:
        yield
        return
    directory.mkdir(parents=True, exist_ok=True)
    spies = []
    for part, pid in appliance.parts().items():
        if part in PROFILED:
            output = directory / f"{part}-{connections}.svg"
            command = ["py-spy", "record", "--subprocesses", "--duration", "600"]
            command += ["--output", str(output), "--pid", str(pid)]
            spies.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    try:
        yield
    finally:
        for spy in spies:
            spy.send_signal(signal.SIGINT)
        for spy in spies:
            spy.wait()


def sentence(one: Run) -> str:
    return (
        f"{one.server}, {one.connections} connections, {one.accepted:.0f}/s accepted,"
        f" {one.stored:.0f}/s into the Maildir"
    )


def latency_sentence(milliseconds: Sequence[float]) -> str:
    return (
        f"idle, SMTP connection to Maildir: median {statistics.median(milliseconds):.0f} ms,"
        f" 95 % {statistics.quantiles(milliseconds, n=20)[-1]:.0f} ms"
        f" ({len(milliseconds)} single messages)"
    )


def table(runs: Sequence[Run], messages: int) -> list[str]:
    """A line for each number of connections; min/median/max when there are several rounds."""
    parts = sorted({part for one in runs for part in one.processor}, key=lambda p: -_cost(runs, p))
    parts = [part for part in parts if _cost(runs, part) >= 0.01]
    head = ["connections", "accepted/s", "Maildir/s", *(f"{part} ms" for part in parts)]
    lines = [head]
    for connections in dict.fromkeys(one.connections for one in runs):
        same = [one for one in runs if one.connections == connections]
        lines.append(
            [
                str(connections),
                _spread([one.accepted for one in same]),
                _spread([one.stored for one in same]),
                *(f"{_cost(same, part):.2f}" for part in parts),
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    octets = smtp_source.MESSAGE_OCTETS
    rounds = len(runs) // (len(lines) - 1)
    title = f"{messages} messages of {octets} octets, {rounds} rounds, {os.cpu_count()} processors"
    shown = "; ms: processor time a message by part" if parts else ""
    return [title + shown, *text]


def ratios(runs: Sequence[Run], one: str, other: str) -> list[str]:
    """How the rates into the Maildir compare, pair by pair: both of a pair ran in a row."""
    lines = []
    for connections in dict.fromkeys(run.connections for run in runs):
        ours, theirs = (
            [run.stored for run in runs if (run.server, run.connections) == (name, connections)]
            for name in (one, other)
        )
        pairs = [mine / its for mine, its in zip(ours, theirs, strict=True)]
        shown = "/".join(
            f"{ratio:.2f}" for ratio in (min(pairs), statistics.median(pairs), max(pairs))
        )
        lines.append(f"{one} : {other}, {connections} connections: {shown}")
    return lines


def _cost(runs: Sequence[Run], part: str) -> float:
    return statistics.median(one.processor.get(part, 0.0) for one in runs)


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.0f}"
    return f"{min(values):.0f}/{statistics.median(values):.0f}/{max(values):.0f}"


if __name__ == "__main__":
    sys.exit(main())
