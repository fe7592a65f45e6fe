"""deploy/test: linters, types and tests, against a PostgreSQL and a Valkey of its own.

Everything lives in a temporary home that is gone afterwards. The database is as durable as in
service: tests of what survives a kill mean something.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from courierweb.environment import ROOT, BadEnvironment, load
from deploy import appliance, home, parts, sockets
from deploy.console import CannotStart, say
from deploy.supervisor import StopRequested, Supervisor

CHECKS = (
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy"],
    # Much of a test's time is waiting. A file stays in one process: its tests share what is slow.
    ["pytest", "-n", "2", "--dist", "loadfile", "-p", "tests.support.own_broker"],
)


def main(arguments: list[str]) -> int:
    """Run everything, or pytest alone with the arguments. Returns the first bad exit status."""
    os.umask(0o077)
    os.chdir(ROOT)
    commands = [["pytest", *arguments]] if arguments else CHECKS
    ensure_browser()
    try:
        with temporary_home() as place:
            return run(place, commands)
    except (BadEnvironment, CannotStart) as error:
        print(f"deploy/test: {error}", file=sys.stderr)
        return 1
    except (StopRequested, KeyboardInterrupt):
        return 130


def run(place: Path, commands: Iterable[list[str]]) -> int:
    own = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    environment = load({**own, "COURIERWEB_HOME": str(place)}, remembered=False)
    environment = replace(environment, hostname="mail.example.test")
    home.make(place)
    servers, environment = appliance.choose_servers(environment)
    variables = {**parts.variables(environment), **_search_path()}
    statuses: dict[str, int] = {}
    try:
        with Supervisor() as supervisor:
            appliance.start_servers(supervisor, servers, environment)
            for command in commands:
                name = " ".join(command)
                say("running " + name)
                statuses[name] = supervisor.run([sys.executable, "-m", *command], variables)
    finally:
        sockets.remove_directories(place)
    return verdict(statuses)


def verdict(statuses: Mapping[str, int]) -> int:
    """The first bad exit status, or 0. The last line says it: a linter's error stands far above."""
    failed = [name for name, status in statuses.items() if status]
    say("failed: " + ", ".join(failed) if failed else "all checks passed")
    return next((status for status in statuses.values() if status), 0)


def _is_setting(name: str) -> bool:
    """Settings of an appliance must not reach the tests: they would run on its data."""
    return name.startswith("COURIERWEB_") or name in ("DATABASE_URL", "CELERY_BROKER_URL")


def _search_path() -> dict[str, str]:
    """The environment's programs first, for tests that run them by name."""
    return {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A directory that PostgreSQL's account can pass through, removed afterwards."""
    place = Path(tempfile.mkdtemp(prefix="courierweb-test-"))
    place.chmod(0o711)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def ensure_browser() -> None:
    """The browser tests drive Chromium; root can have it at once."""
    if shutil.which("chromium"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say("there is no chromium: the browser tests need it (apt-get install chromium)")
        return
    say("installing the Debian package chromium for the browser tests")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "chromium"]):
        result = subprocess.run(["apt-get", *arguments], env=environ, capture_output=True)
    if result.returncode:
        say("apt-get cannot install chromium; the browser tests need it")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
